import { type HostState, type NftTable, parseNft, readHostState } from "@svcproxy/rules";
import { SvcproxyError } from "@svcproxy/topology";
import type { Machine } from "./machine.ts";
import { readHostStateJson } from "./read-host-state-json.ts";

/** What decides about packets beside our own rules. */
export interface Surroundings {
  readonly hostState: HostState;
  /** Tables of nftables that are neither ours nor iptables'. */
  readonly foreignTables: readonly NftTable[];
}

/** A machine with more tables of others than this is not looked at so closely. */
const MAX_TABLES = 32;

/** Those that iptables-nft keeps. */
const IPTABLES_TABLE = /^ip6? (raw|mangle|nat|filter|security)$/;

const OUR_TABLE = /^ip6? svcproxy$/;

/**
 * Reads what it takes to follow a packet through this machine. Tables that iptables-nft keeps are not listed: nft takes seconds for
 * those of a large plan.
 *
 * @returns undefined where it cannot be read: nobody is to fail because of it
 */
export async function readSurroundings(
  machine: Pick<Machine, "run" | "hasTool" | "readSysctl" | "readRecentLists">,
  { signal }: { readonly signal: AbortSignal },
): Promise<Surroundings | undefined> {
  try {
    const [json, foreignTables] = await Promise.all([
      readHostStateJson(machine, { signal }),
      readForeignTables(machine, signal),
    ]);
    return { hostState: readHostState(json, { file: "this host" }), foreignTables };
  } catch (error) {
    if (error instanceof SvcproxyError) return undefined;
    throw error;
  }
}

async function readForeignTables(
  machine: Pick<Machine, "run" | "hasTool">,
  signal: AbortSignal,
): Promise<readonly NftTable[]> {
  if (!machine.hasTool("nft")) return [];
  // `list tables` of nft 1.0.6 reads all elements of all maps; a table without a chain does nothing to a packet.
  const { exitCode, stdout } = await machine.run("nft", ["list", "chains"], { signal });
  if (exitCode !== 0) return [];
  const names = [...stdout.matchAll(/^table (\w+ \S+) \{$/gm)]
    .map(([, name = ""]) => name)
    .filter((name) => !IPTABLES_TABLE.test(name) && !OUR_TABLE.test(name));
  const listings = names
    .slice(0, MAX_TABLES)
    .map((name) => machine.run("nft", ["list", "table", ...name.split(" ")], { signal }));
  return (await Promise.all(listings)).flatMap((listing) =>
    listing.exitCode === 0 ? parseNft(listing.stdout, { file: "nft list table" }).tables : [],
  );
}
