import type { Family } from "@svcproxy/topology";
import { ipOf } from "../compile/collections.ts";
import { pickingChain } from "../compile/picking-chains.ts";
import type { TableSettings } from "../compile/table-settings.ts";
import { affinityFrame, fixedFrame } from "../compile/wanted-table.ts";
import { formatTable } from "../table/format-table.ts";
import { collectElements, element, TABLE } from "../table/nft-table.ts";

const TIMEOUT_SECONDS = 10_800;

/** A table with everything that ours may hold and an element in each map, under a name that nobody has. */
export function probeTable(family: Family): string {
  const settings: TableSettings = {
    family,
    masqueradeMark: 0x4000,
    pods: { kind: "source" },
    masqueradeAll: false,
    nodePorts: "listed",
    guardsLocalhost: family === 4,
    affinityTableSize: 1024,
    countsTraffic: true,
    isLeased: true,
  };
  const fixed = fixedFrame(settings);
  const sticky = affinityFrame(TIMEOUT_SECONDS, { settings, isFirst: true });
  const anew = pickingChain({ kind: "anew", protocol: "tcp", count: 2 }, family);
  const kept = pickingChain({ kind: "sticky", timeoutSeconds: TIMEOUT_SECONDS, count: 2 }, family);
  const [vip, endpoint, block] =
    family === 4 ? ["192.0.2.1", "192.0.2.2", "192.0.2.0/24"] : ["2001:db8::1", "2001:db8::2", "2001:db8::/64"];
  const elements = collectElements([
    ...sticky.elements,
    element("services", `${vip} . tcp . 80`, "1:1", "default/web"),
    element("nodeports", "tcp . 30080", "1:3"),
    element("treatments", "0:1", "goto internal"),
    element("groups", "1:0", `goto ${anew.name}`),
    element("local-groups", "1:0", "2:0"),
    ...["tcp", "udp", "sctp"].map((protocol) => element(`endpoints-${protocol}`, "1:0 . 0", `${endpoint} . 80`)),
    element("allowed", `${vip} . tcp . 80 . ${block}`),
    element("hairpins", `${endpoint} . ${endpoint}`),
    ...["pods", "service-cidrs"].map((set) => element(set, block)),
    ...["nodeport-addresses", "cluster-ips"].map((set) => element(set, vip)),
    element("slots", "2:0 . 0", "2:1"),
    element("usable-slots", "2:1"),
    ...["requests", "replies"].map((set) => element(set, `${vip} . tcp . 80`)),
    ...["nodeport-requests", "nodeport-replies"].map((set) => element(set, "tcp . 30080")),
    ...["tcp", "udp", "sctp"].map((protocol) => element(`sticky-endpoints-${protocol}`, "2:1", `${endpoint} . 80`)),
  ]);
  const table = {
    family,
    collections: [...fixed.collections, ...sticky.collections],
    chains: [...fixed.chains, ...sticky.chains, anew, kept],
    elements,
  };
  return [...formatTable(table)].join("").replace(`${TABLE} {`, `${PROBE} {`);
}

const PROBE = `${TABLE}-probe`;

/** What our tables need of nft and the kernel, one by one, to say what is missing. */
export const PROBED_FEATURES: readonly {
  readonly name: string;
  /** The versions that brought it. */
  readonly since: string;
  readonly text: (family: Family) => string;
}[] = [
  {
    name: "nat in this family",
    since: "Linux 5.2 with nf_tables, or the module nft_chain_nat",
    text: (family) => probe(family, "chain c { type nat hook prerouting priority -105; policy accept;\n}"),
  },
  {
    name: "maps of expressions",
    since: "nft 0.9.4",
    text: (family) => probe(family, "map m { typeof meta priority : meta priority;\n}"),
  },
  {
    name: "counters and comments of a map's elements",
    since: "nft 0.9.7, Linux 5.12",
    text: (family) =>
      probe(
        family,
        `map m { typeof ${ipOf(family)} daddr . meta l4proto . th dport : meta priority; counter; comment "c";\n}`,
      ),
  },
  {
    name: "ranges in concatenated sets",
    since: "nft 0.9.4, Linux 5.6",
    text: (family) =>
      probe(family, `set s { typeof ${ipOf(family)} daddr . th dport . ${ipOf(family)} saddr; flags interval;\n}`),
  },
  {
    name: "destinations out of a map with ports",
    since: "nft 0.9.4, Linux 5.6",
    text: (family) =>
      probe(
        family,
        `map m { typeof meta priority . numgen random mod 65536 : ${ipOf(family)} daddr . tcp dport;\n}\nchain c { meta l4proto tcp dnat ${ipOf(family)} to meta priority . numgen random mod 2 map @m\n}`,
      ),
  },
  {
    name: "reject before routing",
    since: "Linux 5.9",
    text: (family) =>
      probe(
        family,
        "chain c { type nat hook prerouting priority -105; policy accept;\nreject with tcp reset\nreject\n}",
      ),
  },
  {
    name: "maps that packets write",
    since: "nft 1.0.1",
    text: (family) =>
      probe(
        family,
        `map m { typeof meta priority . meta mark : meta priority; flags dynamic,timeout; timeout 3h; size 10;\n}\nchain c { update @m { meta priority & 0xffff0000 . meta mark timeout 3h : meta priority }\n}`,
      ),
  },
  {
    name: "comments of chains",
    since: "nft 0.9.8, Linux 5.10",
    text: (family) => probe(family, 'chain c { comment "c";\n}'),
  },
  {
    name: "addresses of this host by routing (fib)",
    since: "Linux 4.10 with nft_fib",
    text: (family) =>
      probe(family, "chain c { type nat hook prerouting priority -105; policy accept;\nfib daddr type local accept\n}"),
  },
  {
    name: "masquerading with random ports",
    since: "nft 0.8, Linux 4.10",
    text: (family) =>
      probe(family, "chain c { type nat hook postrouting priority 95; policy accept;\nmasquerade fully-random\n}"),
  },
];

function probe(family: Family, inside: string): string {
  return `table ${ipOf(family)} ${PROBE} {\n${inside}\n}\n`;
}
