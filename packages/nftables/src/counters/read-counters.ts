import type { Family } from "@svcproxy/topology";
import { KernelTables } from "../nft/kernel-tables.ts";
import { type PortCounters, parseCounters } from "./service-counters.ts";

export interface ReadCounters {
  /** Families in which there is no table of ours are left out. */
  readonly ports: readonly PortCounters[];
  readonly unremembered: number;
  /** Those with a table of ours. */
  readonly families: readonly Family[];
}

/** What our tables in this network namespace have counted. @throws EnvironmentError */
export async function readCounters(
  families: readonly Family[],
  { signal }: { readonly signal: AbortSignal },
): Promise<ReadCounters> {
  const tables = new KernelTables();
  const listings = await Promise.all(
    families.map(async (family) => ({ family, text: await tables.list(family, { signal, counters: true }) })),
  );
  const found = listings.flatMap(({ family, text }) =>
    text === undefined ? [] : [{ family, ...parseCounters(text, family) }],
  );
  return {
    ports: found.flatMap(({ ports }) => ports),
    unremembered: found.reduce((sum, { unremembered }) => sum + unremembered, 0),
    families: found.map(({ family }) => family),
  };
}
