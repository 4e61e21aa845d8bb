import type { Census } from "@svcproxy/host";
import { formatSocketAddress, parseIpAddress, parsePort } from "@svcproxy/topology";
import type { NftTable } from "../table/nft-table.ts";

/** What a table of ours serves. */
export function censusOfTable({ elements }: Pick<NftTable, "elements">): Census {
  const vips = new Set<string>();
  const endpoints = new Set<string>();
  for (const key of elements.get("services")?.keys() ?? []) vips.add(key.split(" ")[0] ?? "");
  for (const [collection, entries] of elements) {
    if (!ENDPOINTS.test(collection)) continue;
    for (const { data } of entries.values()) {
      const [ip = "", number] = data.split(" . ");
      const [address, port] = [parseIpAddress(ip), parsePort(Number(number))];
      if (address !== undefined && port !== undefined) endpoints.add(formatSocketAddress({ address, port }));
    }
  }
  return { vips, endpoints };
}

/** The maps whose values are endpoints: `endpoints-tcp`, `sticky-endpoints-udp`, … */
const ENDPOINTS = /^(?:sticky-)?endpoints-/;
