import { type NftTable, parseNft } from "@svcproxy/rules";
import { type Cidr, type Family, familyOf, formatCidr, type HostPlan } from "@svcproxy/topology";
import { hasSince, type KubeProxyFacts, localhostNodePorts } from "./kube-proxy-facts.ts";
import { ServiceElements } from "./service-elements.ts";
import { chain, FAMILY_WORDS, type FamilyWords, hex, map, oneOf, podMatch, set } from "./table-text.ts";

/** What kube-proxy calls its table in nftables mode. */
export const KUBE_PROXY_TABLE = "kube-proxy";

/**
 * The table that kube-proxy in nftables mode writes for a plan, in one family: what it promises, whatever runs today.
 *
 * @see kubernetes pkg/proxy/nftables/proxier.go, 1.37
 */
export function kubeProxyTable(plan: HostPlan, family: Family, facts: KubeProxyFacts = {}): NftTable {
  const [table] = parseNft(formatKubeProxyTable(plan, family, facts), { file: "kube-proxy's rules" }).tables;
  if (table === undefined) throw new TypeError("the text has no table");
  return table;
}

/** The same as `nft list ruleset` prints it, and `nft -f` reads it. */
export function formatKubeProxyTable(plan: HostPlan, family: Family, facts: KubeProxyFacts = {}): string {
  const words = FAMILY_WORDS[family];
  const services = new ServiceElements(plan, words);
  for (const port of plan.ports) if (port.family === family) services.add(port);
  const { everyHostAddress, addresses } = plan.nodePortAddresses[family];
  const nodePorts = everyHostAddress ? `${words.ip} daddr != ${words.loopback}` : `${words.ip} daddr @nodeport-ips`;
  const mark = 2 ** plan.node.masqueradeBit;
  const address = words.type;
  const place = `${address} . inet_proto . inet_service`;
  const refused = refusedOnLoopback(plan, family, facts);
  const lines = [
    `table ${words.ip} ${KUBE_PROXY_TABLE} {`,
    ...set("hairpin-connections", { type: `${address} . ${place}`, elements: services.hairpins }),
    ...set("cluster-ips", { type: address, elements: services.clusterIPs }),
    ...(everyHostAddress ? [] : set("nodeport-ips", { type: address, elements: new Set(addresses) })),
    ...map("no-endpoint-services", { type: place, elements: services.noEndpointServices }),
    ...map("no-endpoint-nodeports", { type: "inet_proto . inet_service", elements: services.noEndpointNodePorts }),
    ...map("firewall-ips", { type: place, elements: services.firewallIPs }),
    ...map("service-ips", { type: place, elements: services.serviceIPs }),
    ...map("service-nodeports", { type: "inet_proto . inet_service", elements: services.serviceNodePorts }),
    ...services.affinitySets,
    ...(refused.size === 0
      ? []
      : map("localhost-nodeport-reject-ports", { type: "inet_proto . inet_service", elements: refused })),
    ...(hasSince(facts, "ownLoadBalancers") === false ? OLDER_BASE_CHAINS : BASE_CHAINS),
    ...chain("nodeport-endpoints-check", [
      ...(refused.size === 0
        ? []
        : [`${words.ip} daddr ${words.loopback} meta l4proto . th dport vmap @localhost-nodeport-reject-ports`]),
      `${nodePorts} meta l4proto . th dport vmap @no-endpoint-nodeports`,
    ]),
    ...chain("service-endpoints-check", [`${words.ip} daddr . meta l4proto . th dport vmap @no-endpoint-services`]),
    ...chain("firewall-check", [`${words.ip} daddr . meta l4proto . th dport vmap @firewall-ips`]),
    ...chain("services", [
      ...notPods(plan, { words, mark }),
      `${words.ip} daddr . meta l4proto . th dport vmap @service-ips`,
      `${everyHostAddress ? "fib daddr type local " : ""}${nodePorts} meta l4proto . th dport vmap @service-nodeports`,
    ]),
    ...chain("masquerading", [
      `meta mark & ${hex(mark)} != 0x00000000 meta mark set meta mark ^ ${hex(mark)} masquerade fully-random`,
      `ct status dnat ${words.ip} saddr . ${words.ip} daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random`,
    ]),
    ...chain("cluster-ips-check", [
      `${words.ip} daddr @cluster-ips reject`,
      ...unassigned(plan.node.serviceCIDRs, words),
    ]),
    ...chain("reject-chain", ["reject"]),
    ...services.chains,
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

/** NodePorts that are refused where they are dialled on loopback. */
function refusedOnLoopback(plan: HostPlan, family: Family, facts: KubeProxyFacts): ReadonlyMap<string, string> {
  const handling = localhostNodePorts(plan, family, facts);
  return new Map(
    plan.ports.flatMap(({ family: of, port: { protocol, nodePort } }) =>
      of === family && nodePort !== undefined && handling(protocol) === "refused"
        ? [[`${protocol} . ${nodePort}`, "goto reject-chain"] as const]
        : [],
    ),
  );
}

const NAT_CHAINS = [
  ...baseChain("nat-prerouting", "type nat hook prerouting priority dstnat", ["jump services"]),
  ...baseChain("nat-output", "type nat hook output priority -100", ["jump services"]),
  ...baseChain("nat-postrouting", "type nat hook postrouting priority srcnat", ["jump masquerading"]),
];

/** What the host sends was looked at before its destination was mapped, and so before policy Local let it by. */
const OLDER_BASE_CHAINS = [
  ...baseChain("filter-prerouting", "type filter hook prerouting priority dstnat - 10", [
    "ct state new jump firewall-check",
  ]),
  ...baseChain("filter-input", "type filter hook input priority -110", [
    "ct state new jump nodeport-endpoints-check",
    "ct state new jump service-endpoints-check",
  ]),
  ...baseChain("filter-forward", "type filter hook forward priority -110", [
    "ct state new jump service-endpoints-check",
    "ct state new jump cluster-ips-check",
  ]),
  ...baseChain("filter-output", "type filter hook output priority -110", [
    "ct state new jump service-endpoints-check",
    "ct state new jump firewall-check",
  ]),
  ...baseChain("filter-output-post-dnat", "type filter hook output priority -90", [
    "ct state new jump cluster-ips-check",
  ]),
  ...NAT_CHAINS,
];

const BASE_CHAINS = [
  ...baseChain("filter-prerouting-pre-dnat", "type filter hook prerouting priority dstnat - 10", [
    "ct state new jump firewall-check",
  ]),
  ...baseChain("filter-output-pre-dnat", "type filter hook output priority -110", ["ct state new jump firewall-check"]),
  ...baseChain("filter-input", "type filter hook input priority filter", [
    "ct state new jump nodeport-endpoints-check",
    "ct state new jump service-endpoints-check",
  ]),
  ...baseChain("filter-forward", "type filter hook forward priority filter", [
    "ct state new jump service-endpoints-check",
    "ct state new jump cluster-ips-check",
  ]),
  ...baseChain("filter-output", "type filter hook output priority filter", [
    "ct state new jump service-endpoints-check",
    "ct state new jump cluster-ips-check",
  ]),
  ...NAT_CHAINS,
];

function baseChain(name: string, hook: string, rules: readonly string[]): readonly string[] {
  return chain(name, [`${hook}; policy accept;`, ...rules]);
}

/** Whose connections to ClusterIPs are masqueraded. */
function notPods(
  { node, podDetector }: HostPlan,
  { words, mark }: { readonly words: FamilyWords; readonly mark: number },
): readonly string[] {
  const marks = `meta mark set meta mark | ${hex(mark)}`;
  if (node.masqueradeAll) return [`${words.ip} daddr @cluster-ips ${marks}`];
  const pods = podMatch(podDetector, { words, isNegated: true });
  return pods === undefined ? [] : [`${words.ip} daddr @cluster-ips ${pods} ${marks}`];
}

function unassigned(serviceCIDRs: readonly Cidr[], { family, ip }: FamilyWords): readonly string[] {
  const blocks = serviceCIDRs.filter(({ address }) => familyOf(address) === family).map(formatCidr);
  if (blocks.length === 0) return [];
  return [`${ip} daddr ${oneOf(blocks)} drop`];
}
