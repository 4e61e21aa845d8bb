import type { Family } from "@svcproxy/topology";
import { endpointsOf, stickyEndpointsOf } from "../compile/collections.ts";
import type { WantedPort } from "../compile/wanted-port.ts";
import { parseClassid } from "../table/classid.ts";
import { entryOf } from "../table/entry-of.ts";
import type { NftTable } from "../table/nft-table.ts";

/** Where a table sends UDP. Only the first packet of a flow asks the rules, so flows outlive what sent them where they go. */
export interface UdpFrontends {
  /** `ip:port` of a VIP (IPv6 too, without brackets), or `:port` of a NodePort, to the `ip:port` or `[ip]:port` of its endpoints. */
  readonly endpoints: ReadonlyMap<string, ReadonlySet<string>>;
  /** Endpoints of groups that no frontend leads to any more: what a change that was cut off left behind. */
  readonly orphans: ReadonlySet<string>;
}

/** Of a table that is not there. */
export const NO_UDP: UdpFrontends = { endpoints: new Map(), orphans: new Set() };

/** Where the ports of a plan are to send UDP. */
export function wantedUdpFrontends(ports: readonly WantedPort[], family: Family): UdpFrontends {
  const frontendMap = new Map<string, Set<string>>();
  for (const { plan, frontends, cluster, local } of ports) {
    if (plan.port.protocol !== "udp") continue;
    const sent = [...(cluster?.endpoints ?? []), ...(local?.endpoints ?? [])].map((text) => socketText(text, family));
    for (const { collection, key } of frontends) {
      const frontend = frontendText(collection, key);
      if (frontend !== undefined) frontendMap.set(frontend, new Set(sent));
    }
  }
  return { endpoints: frontendMap, orphans: new Set() };
}

/** Where a table as it was read sends UDP, or sent it a moment ago. */
export function udpFrontendsOf({ elements, family }: NftTable): UdpFrontends {
  const ofGroup = new Map<number, Set<string>>();
  for (const collection of [endpointsOf("udp"), stickyEndpointsOf("udp")]) {
    for (const [key, { data }] of elements.get(collection) ?? []) {
      const group = parseClassid(key.split(" ")[0] ?? "")?.high;
      if (group !== undefined) entryOf(ofGroup, group, () => new Set<string>()).add(socketText(data, family));
    }
  }
  const orphans = new Map(ofGroup);
  const frontendMap = new Map<string, ReadonlySet<string>>();
  for (const collection of ["services", "nodeports"]) {
    for (const [key, { data }] of elements.get(collection) ?? []) {
      const frontend = frontendText(collection, key);
      const group = parseClassid(data)?.high;
      if (frontend === undefined || group === undefined) continue;
      const local = parseClassid(elements.get("local-groups")?.get(`${group.toString(16)}:0`)?.data ?? "")?.high;
      const groups = local === undefined ? [group] : [group, local];
      frontendMap.set(frontend, new Set(groups.flatMap((number) => [...(ofGroup.get(number) ?? [])])));
      for (const number of groups) orphans.delete(number);
    }
  }
  return { endpoints: frontendMap, orphans: new Set([...orphans.values()].flatMap((endpoints) => [...endpoints])) };
}

/** @returns undefined for another protocol */
function frontendText(collection: string, key: string): string | undefined {
  const parts = key.split(" . ");
  const [protocol, port] = parts.slice(-2);
  if (protocol !== "udp" || port === undefined) return undefined;
  return `${collection === "nodeports" ? "" : parts[0]}:${port}`;
}

/** `10.0.0.1 . 53` as `10.0.0.1:53`, `fd00::1 . 53` as `[fd00::1]:53`. */
function socketText(text: string, family: Family): string {
  const [address = "", port = ""] = text.split(" . ");
  return family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}
