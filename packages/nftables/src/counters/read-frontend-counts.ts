import type { FrontendCount, Machine } from "@svcproxy/host";
import { type Family, type IpAddress, type Protocol, parseIpAddress } from "@svcproxy/topology";
import { PROTOCOLS } from "../compile/collections.ts";
import { nftFault } from "../nft/nft-faults.ts";
import { tableName } from "../table/format-table.ts";
import { type Counter, parseTable } from "../table/parse-table.ts";

/** Maps whose elements count new connections, with the sets that count their traffic. */
const COUNTING = [
  { map: "services", requests: "requests", replies: "replies" },
  { map: "nodeports", requests: "nodeport-requests", replies: "nodeport-replies" },
] as const;

/**
 * What our tables have counted of each frontend, read map by map: at 10,000 services a quarter of what reading a table takes.
 *
 * @param options.countsTraffic whether there are sets that count bytes
 * @throws EnvironmentError
 */
export async function readFrontendCounts(
  machine: Pick<Machine, "run">,
  { countsTraffic, signal }: { readonly countsTraffic: boolean; readonly signal: AbortSignal },
): Promise<readonly FrontendCount[]> {
  const counts: FrontendCount[] = [];
  for (const family of [4, 6] as const) {
    const read = (kind: "map" | "set", name: string) => readCounters(machine, { family, kind, name, signal });
    for (const { map, requests, replies } of COUNTING) {
      const connections = await read("map", map);
      if (connections === undefined) continue;
      const fromClients = countsTraffic ? await read("set", requests) : undefined;
      const toClients = countsTraffic ? await read("set", replies) : undefined;
      for (const [key, { packets }] of connections) {
        const [sent, heard] = [fromClients?.get(key), toClients?.get(key)];
        const frontend = frontendOf(key);
        if (frontend === undefined) continue;
        counts.push({
          ...{ family, ...frontend, connections: packets },
          ...(sent === undefined ? {} : { bytesFromClients: sent.bytes }),
          ...(heard === undefined ? {} : { bytesToClients: heard.bytes }),
        });
      }
    }
  }
  return counts;
}

/** What the elements of one collection have counted, by their keys; undefined: there is none. */
async function readCounters(
  machine: Pick<Machine, "run">,
  options: {
    readonly family: Family;
    readonly kind: "map" | "set";
    readonly name: string;
    readonly signal: AbortSignal;
  },
): Promise<ReadonlyMap<string, Counter> | undefined> {
  const { family, kind, name, signal } = options;
  const table = tableName(family);
  const output = await machine.run("nft", ["list", kind, ...table.split(" "), name], { signal });
  if (output.exitCode !== 0) {
    if (/No such file or directory/.test(output.stderr)) return undefined;
    throw nftFault(`Cannot read ${kind} ${name} of table ${table}`, output);
  }
  const counters = new Map<string, Counter>();
  parseTable(output.stdout, family, { onCounter: ({ key }, counter) => counters.set(key, counter) });
  return counters;
}

/** Reads `10.0.0.1 . tcp . 80`, or `tcp . 30080`. */
function frontendOf(
  key: string,
): { readonly protocol: Protocol; readonly address: IpAddress | undefined; readonly port: number } | undefined {
  const parts = key.split(" . ");
  const [name, port] = parts.slice(-2);
  const protocol = PROTOCOLS.find((known) => known === name);
  if (protocol === undefined || port === undefined) return undefined;
  const [address] = parts.slice(0, -2);
  return { protocol, address: address === undefined ? undefined : parseIpAddress(address), port: Number(port) };
}
