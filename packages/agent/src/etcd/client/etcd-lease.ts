import type { EtcdClient } from "./etcd-client.ts";
import { EtcdError } from "./etcd-error.ts";
import { answerAt, int64At, numberAt } from "./gateway-values.ts";

/** @returns the lease's number @throws EtcdError */
export async function grantLease(
  client: EtcdClient,
  { ttlSeconds, signal }: { readonly ttlSeconds: number; readonly signal?: AbortSignal },
): Promise<string> {
  const answer = await client.call(
    "lease/grant",
    { TTL: String(ttlSeconds) },
    { doing: "get a lease", ...(signal && { signal }) },
  );
  return int64At(answer, "ID");
}

/** @returns whether it lives: false where it has lapsed @throws EtcdError */
export async function keepLease(client: EtcdClient, lease: string, signal?: AbortSignal): Promise<boolean> {
  const options = { doing: "keep a lease", ...(signal && { signal }) };
  const answer = await client.call("lease/keepalive", { ID: lease }, options);
  return numberAt(answerAt(answer, "result"), "TTL") > 0;
}

/** Its keys go with it; one that has lapsed is no fault. @throws EtcdError */
export async function revokeLease(client: EtcdClient, lease: string, signal?: AbortSignal): Promise<void> {
  try {
    await client.call("lease/revoke", { ID: lease }, { doing: "give a lease back", ...(signal && { signal }) });
  } catch (error) {
    if (!(error instanceof EtcdError) || error.failure !== "no-lease") throw error;
  }
}
