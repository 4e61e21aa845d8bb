import { formatSocketAddress, inputError } from "@svcproxy/topology";
import type { EtcdClient } from "../client/etcd-client.ts";
import { commit, type EtcdOperation, readRange } from "../client/etcd-store.ts";
import { drainKey, followedRange } from "../etcd-layout.ts";
import { type EffectiveEntries, effectiveEntries } from "../source/effective-entries.ts";
import { EtcdTopology } from "../source/etcd-topology.ts";

/** An endpoint of a service: the name of its registration, of its pod, or `ip:port`. */
export interface EndpointName {
  readonly namespace: string;
  readonly service: string;
  readonly endpoint: string;
}

export interface DrainOptions {
  readonly prefix: string;
  readonly signal: AbortSignal;
}

/**
 * Takes an endpoint out of use, until `undrainEndpoint`: connections go on, new ones go to others. It stays drained when it registers anew.
 *
 * @returns false where it was already
 * @throws InputError UNKNOWN_SERVICE, UNKNOWN_REGISTRATION; EtcdError
 */
export async function drainEndpoint(client: EtcdClient, name: EndpointName, options: DrainOptions): Promise<boolean> {
  const state = await readState(client, options);
  if (isDrained(state, name)) return false;
  refuseUnknown(state, { ...name, prefix: options.prefix });
  const value = JSON.stringify({ since: new Date().toISOString() });
  await write(client, { kind: "put", key: drainKey(options.prefix, name), value }, options);
  return true;
}

/** @returns false where it was not drained @throws EtcdError */
export async function undrainEndpoint(client: EtcdClient, name: EndpointName, options: DrainOptions): Promise<boolean> {
  if (!isDrained(await readState(client, options), name)) return false;
  await write(client, { kind: "delete", key: drainKey(options.prefix, name) }, options);
  return true;
}

async function readState(client: EtcdClient, { prefix, signal }: DrainOptions): Promise<EffectiveEntries> {
  return effectiveEntries((await readRange(client, followedRange(prefix), { signal })).entries, prefix);
}

async function write(client: EtcdClient, operation: EtcdOperation, { signal }: DrainOptions): Promise<void> {
  await commit(client, [operation], { doing: "write who is drained", isOnce: false, signal });
}

function isDrained({ drains }: EffectiveEntries, { namespace, service, endpoint }: EndpointName): boolean {
  return drains.some((one) => one.namespace === namespace && one.service === service && one.endpoint === endpoint);
}

/** So many are named. */
const NAMED = 10;

/** The pods of a service, and its `ip:port`. */
function servedNames(
  effective: EffectiveEntries,
  { prefix, whole }: { readonly prefix: string; readonly whole: string },
): ReadonlySet<string> {
  const reader = new EtcdTopology({ prefix });
  const endpoints = [...reader.registered(effective).values()];
  const { topology } = reader.read({ effective, endpoints, flannel: [] });
  const served = topology.services.find(({ namespace, name }) => `${namespace}/${name}` === whole);
  const all = served?.ports.flatMap((port) => port.endpoints) ?? [];
  return new Set(all.flatMap((one) => [formatSocketAddress(one), ...(one.pod === undefined ? [] : [one.pod])]));
}

function refuseUnknown(
  state: EffectiveEntries,
  { namespace, service, endpoint, prefix }: EndpointName & { readonly prefix: string },
): void {
  const owner = [...state.entries.values()].find(
    ({ key }) => key.kind === "service" && key.namespace === namespace && key.name === service,
  );
  const registered = [...state.endpoints.values()].flatMap(({ key }) =>
    key.kind === "endpoint" && key.namespace === namespace && key.service === service ? [key.id] : [],
  );
  const whole = `${namespace}/${service}`;
  if (owner === undefined && registered.length === 0) {
    const names = [...state.entries.values()].flatMap(({ key }) =>
      key.kind === "service" ? [`${key.namespace}/${key.name}`] : [],
    );
    throw inputError("UNKNOWN_SERVICE", `There is no service ${JSON.stringify(whole)}`, {
      hint:
        names.length === 0
          ? "There is none at all"
          : `Services: ${names.slice(0, NAMED).join(", ")}; --namespace names theirs`,
    });
  }
  if (registered.includes(endpoint) || servedNames(state, { prefix, whole }).has(endpoint)) return;
  throw inputError(
    "UNKNOWN_REGISTRATION",
    `Service ${JSON.stringify(whole)} has no endpoint ${JSON.stringify(endpoint)}`,
    {
      hint:
        registered.length === 0
          ? "Nothing is registered for it"
          : `Registered: ${registered.slice(0, NAMED).join(", ")}`,
    },
  );
}
