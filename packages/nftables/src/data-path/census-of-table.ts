import type { Census } from "@svcproxy/host";
import { formatSocketAddress, parseIpAddress, parsePort } from "@svcproxy/topology";
import type { NftTable } from "../table/nft-table.ts";

/** What a table of ours serves. */
export function censusOfTable({ elements }: Pick<NftTable, "elements">): Census {
  const vips = new Set<string>();
  const answering = new Set<string>();
  const endpoints = new Set<string>();
  const groups = elements.get("groups");
  for (const [key, { data }] of elements.get("services") ?? []) {
    const vip = key.split(" ")[0] ?? "";
    vips.add(vip);
    if (groups?.has(`${data.split(":")[0]}:0`) === true) answering.add(vip);
  }
  for (const [collection, entries] of elements) {
    if (!ENDPOINTS.test(collection)) continue;
    for (const { data } of entries.values()) {
      const [ip = "", number] = data.split(" . ");
      const [address, port] = [parseIpAddress(ip), parsePort(Number(number))];
      if (address !== undefined && port !== undefined) endpoints.add(formatSocketAddress({ address, port }));
    }
  }
  return { vips, answering, endpoints };
}

/** The maps whose values are endpoints: `endpoints-tcp`, `sticky-endpoints-udp`, … */
const ENDPOINTS = /^(?:sticky-)?endpoints-/;
