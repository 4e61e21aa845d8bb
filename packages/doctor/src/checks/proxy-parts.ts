import { createTracer, type HostRules, isProxyTable, type NftTable, type Tracer } from "@svcproxy/rules";
import type { ObservedHost } from "../observation.ts";
import { isProxyChain } from "../walk/read-branch.ts";

/** What a service proxy has on a host in one family: a table, chains, or a program that listens at VIPs. */
export interface ProxyPart {
  /** `svcproxy (nftables)`. */
  readonly name: string;
  /** `table ip svcproxy`, `chains KUBE-… of iptables-nft`. */
  readonly place: string;
  /** What sends a connection on, asked alone; undefined for a program, which takes those at its sockets. */
  readonly tracer: Tracer | undefined;
  /** Where its rules that translate hang: the least priority is asked first. Undefined: the hook has none. */
  readonly priorityAt: (hook: "prerouting" | "output") => number | undefined;
}

/** Those of all service proxies on a host. */
export function proxyParts(at: ObservedHost, rules: HostRules): readonly ProxyPart[] {
  const { hostState, sockets } = at.snapshot;
  const alone = (part: Partial<HostRules>) =>
    createTracer({ rules: { ...rules, iptables: [], nft: { tables: [] }, unread: [], ...part }, hostState });
  const ofNft = rules.nft.tables.flatMap((table): readonly ProxyPart[] => {
    const name = `${table.family} ${table.name}`;
    if (!isProxyTable(name) || table.isDormant) return [];
    return [
      {
        ...{ name: `${table.name} (nftables)`, place: `table ${name}`, tracer: alone({ nft: { tables: [table] } }) },
        priorityAt: (hook) => natPriority(table, hook),
      },
    ];
  });
  const ofIptables = rules.iptables.flatMap((one): readonly ProxyPart[] => {
    const { tables } = one.rules;
    if (!tables.some(({ name, chains }) => name === "nat" && chains.some(isProxyChain))) return [];
    const variant = `iptables-${one.variant ?? "legacy"}`;
    const who = writersOf(tables.flatMap(({ chains }) => chains.map(({ name }) => name)));
    return [
      {
        name: `${who.length === 0 ? "unmarked rules" : who.join(" with ")} (${variant})`,
        place: `chains KUBE-… of ${variant}`,
        tracer: alone({ iptables: [one] }),
        priorityAt: () => IPTABLES_NAT_PRIORITY,
      },
    ];
  });
  const vips = new Set<string | undefined>(at.plan.ports.flatMap(({ service }) => service.clusterIPs));
  const program = sockets
    .filter(({ address }) => vips.has(address))
    .flatMap(({ holders }) => holders)
    .find(({ command }) => isOurProgram(command));
  const ofPrograms: readonly ProxyPart[] =
    program === undefined
      ? []
      : [
          {
            ...{ name: "svcproxy (userspace)", place: `sockets of pid ${program.pid}` },
            ...{ tracer: undefined, priorityAt: () => Number.POSITIVE_INFINITY },
          },
        ];
  return [...ofNft, ...ofIptables, ...ofPrograms];
}

/** Of nat PREROUTING and OUTPUT. @see linux netfilter_ipv4.h */
const IPTABLES_NAT_PRIORITY = -100;

function natPriority({ chains }: NftTable, hook: "prerouting" | "output"): number | undefined {
  const priorities = chains.flatMap(({ base }) => (base?.type === "nat" && base.hook === hook ? [base.priority] : []));
  return priorities.length === 0 ? undefined : Math.min(...priorities);
}

/** As the kernel calls the process: the executable, or Node with the program. */
export function isOurProgram(command: string): boolean {
  return /^(svcproxy|node|node-MainThread)$/.test(command);
}

/** Chains that nobody else makes. */
const MARKS: readonly (readonly [RegExp, string])[] = [
  [/^SVCPROXY-OWNS/, "svcproxy"],
  [/^KUBE-PROXY-CANARY$/, "kube-proxy"],
];

/** Who has marked chains in these tables as theirs. */
export function writersOf(chains: readonly string[]): readonly string[] {
  return MARKS.filter(([mark]) => chains.some((name) => mark.test(name))).map(([, who]) => who);
}
