import { createTracer, type HostRules, isProxyTable, type Tracer } from "@svcproxy/rules";
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
  /** Whether a translation in this table is this one's. */
  readonly isIn: (table: string) => boolean;
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
        isIn: (other) => other === name,
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
        name: `${who.length === 0 ? "rules that nobody marked as theirs" : who.join(" with ")} (${variant})`,
        place: `chains KUBE-… of ${variant}`,
        tracer: alone({ iptables: [one] }),
        isIn: (table) => table === (rules.iptables.length > 1 ? `nat (${one.variant ?? "legacy"})` : "nat"),
      },
    ];
  });
  const program = sockets.flatMap(({ holders }) => holders).find(({ command }) => isOurProgram(command));
  const ofPrograms: readonly ProxyPart[] =
    program === undefined
      ? []
      : [
          {
            ...{ name: "svcproxy (userspace)", place: `sockets of pid ${program.pid}` },
            ...{ tracer: undefined, isIn: () => false },
          },
        ];
  return [...ofNft, ...ofIptables, ...ofPrograms];
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
