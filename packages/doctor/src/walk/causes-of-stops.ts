import { formatSocketAddress } from "@svcproxy/topology";
import type { Cause, Sufferer } from "../cause.ts";
import type { CauseCode } from "../cause-codes.ts";
import type { ObservedHost } from "../observation.ts";
import { causeOf, type Finding } from "./finding.ts";
import { ownerOfRule } from "./owner-of-rule.ts";
import { refusingRoute } from "./refusing-route.ts";
import type { RulePlace, Stop, StopReason } from "./stop.ts";

/** Stops by what brings them about: each cause once, with all who suffer. */
export function causesOfStops(stops: readonly Stop[]): readonly Cause[] {
  const found = new Map<string, { readonly finding: Finding; readonly host: string; readonly sufferers: Sufferer[] }>();
  for (const stop of stops) {
    const finding = findingOf(stop);
    const key = `${stop.at.name} ${finding.code} ${finding.subject}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { finding, host: stop.at.name, sufferers: [stop.sufferer] });
    else known.sufferers.push(stop.sufferer);
  }
  return Array.from(found.values(), ({ finding, host, sufferers }) => causeOf(finding, { host, sufferers }));
}

function findingOf({ why, at, family, isReply }: Stop): Finding {
  switch (why.kind) {
    case "rule":
      return ruleFinding(why, { family, isReply });
    case "policy":
      return policyFinding(why, family);
    case "fact":
      return factFinding(why, { at, family });
    case "replyFact":
      return replyFinding(why, family);
    case "notTranslated":
      return missingFinding(why, { at, family });
    case "otherwise":
      return outdated(`The rules here are not those of this topology: ${why.text}`, why.place);
    case "variants":
      return {
        code: "RULES_IN_BOTH_VARIANTS",
        subject: `IPv${family} ${why.place.table}`,
        text: `iptables-${why.variant} has a rule for what services are dialled at, beside those of the service proxy: one of the two is asked first`,
        evidence: [`${placeOf(why.place)} of iptables-${why.variant}: ${why.place.text}`, ...counted(why.place)],
        suspect: "a service proxy that wrote its rules by the other variant of iptables, before this one",
        remedy: [
          `${family === 6 ? "ip6tables" : "iptables"}-${why.variant} -t ${why.place.table} -D ${why.place.chain} ${why.place.number}`,
        ],
      };
    case "share":
      return outdated(
        `${why.endpoint} gets ${percent(why.given)} of the connections, not ${percent(why.meant)}: a rule of its service is gone or old`,
        undefined,
      );
  }
}

function placeOf({ table, chain, number }: RulePlace): string {
  return `rule ${number} of ${table} ${chain}`;
}

function counted({ packets }: RulePlace): readonly string[] {
  return packets === undefined ? [] : [`it has counted ${packets} packets so far`];
}

const RULE_CODES = {
  drops: "FOREIGN_RULE_DROPS",
  refuses: "FOREIGN_RULE_DROPS",
  "sends elsewhere": "FOREIGN_DNAT_FIRST",
  rewrites: "FOREIGN_RULE_REWRITES",
  untracks: "FOREIGN_RULE_UNTRACKS",
} as const satisfies Record<string, CauseCode>;

const CONSEQUENCES: Readonly<Partial<Record<keyof typeof RULE_CODES, string>>> = {
  rewrites: ", so that their answers get lost",
  untracks: ", so that they are not translated",
};

function ruleFinding(
  { place, does }: Extract<StopReason, { readonly kind: "rule" }>,
  { family, isReply }: { readonly family: number; readonly isReply: boolean },
): Finding {
  const owner = ownerOfRule(place);
  const what = {
    drops: "drops",
    refuses: "refuses",
    "sends elsewhere": "sends elsewhere",
    rewrites: "changes the mark of",
    untracks: "keeps connection tracking from",
  }[does];
  return {
    code: RULE_CODES[does],
    subject: `IPv${family} ${place.table} ${place.chain} ${place.number}`,
    text: `${placeOf(place)} ${what} ${isReply && does !== "rewrites" ? "the answers of connections" : "connections"} to services${CONSEQUENCES[does] ?? ""}`,
    evidence: [place.text, ...counted(place)],
    suspect: owner,
    remedy: isOfNft(place.table) ? [] : [deletion(place, family)],
    hint:
      does === "drops" || does === "refuses"
        ? "Let translated connections through before it, or delete it"
        : "Delete it, or give it narrower matches",
  };
}

/** The program that keeps a table, and the table's own name: the engine tells variants apart where both are in use. */
function programOf(table: string, family: number): { readonly program: string; readonly name: string } {
  const [, name = table, variant] = /^(\w+) \((nft|legacy)\)$/.exec(table) ?? [];
  const program = family === 6 ? "ip6tables" : "iptables";
  return { name, program: variant === undefined ? program : `${program}-${variant}` };
}

/** The command that takes one rule away. */
function deletion({ table, chain, number }: RulePlace, family: number): string {
  const { program, name } = programOf(table, family);
  return `${program} -t ${name} -D ${chain} ${number}`;
}

function isOfNft(table: string): boolean {
  return /^(ip6?|inet) /.test(table);
}

function policyFinding({ table, chain }: Extract<StopReason, { readonly kind: "policy" }>, family: number): Finding {
  const { program, name } = programOf(table, family);
  const isNft = isOfNft(table);
  return {
    code: "FOREIGN_RULE_DROPS",
    subject: `IPv${family} ${table} ${chain} policy`,
    text: `The policy of ${table} ${chain} drops connections to services`,
    evidence: [`no rule of ${chain} accepts them, and its policy is DROP`],
    suspect:
      ownerOfRule({ table, chain }) ?? (isNft ? undefined : "Docker, which sets it when it starts, or a firewall"),
    remedy: isNft ? [] : [`${program} -t ${name} -I ${chain} 1 -m conntrack --ctstate DNAT -j ACCEPT`],
    hint: isNft
      ? "Let translated connections through in it: ct status dnat accept"
      : "It lets translated connections and their answers through",
  };
}

function factFinding(
  { fact, because, destination }: Extract<StopReason, { readonly kind: "fact" }>,
  { at, family }: { readonly at: ObservedHost; readonly family: number },
): Finding {
  switch (fact) {
    case "not-forwarding": {
      return forwardingOff(at, because.match(/\((\S+) is 0\)/)?.[1] ?? sysctlOfForwarding(family));
    }
    case "hairpin-off": {
      const isDead = (name: string) => at.snapshot.links.some((one) => one.name === name && !one.hasCarrier);
      const ports = at.snapshot.hostState.interfaces.filter(
        ({ name, hairpinMode }) => hairpinMode === false && !isDead(name),
      );
      return {
        code: "HAIRPIN_OFF",
        subject: `bridge port ${ports.map(({ name }) => name).join(", ")}`,
        text: "A pod that reaches itself by its service gets no answer: its bridge port sends no frame back",
        evidence: [because, ...ports.map(({ name }) => `hairpin is off on ${name} (bridge -d link)`)],
        remedy: ports.map(({ name }) => `bridge link set dev ${name} hairpin on`),
        hint: "Set hairpinMode in the CNI's configuration, and on the ports that there are",
      };
    }
    case "hops-used-up":
      return {
        code: "FOREIGN_RULE_DROPS",
        subject: `IPv${family} TTL on ${at.name}`,
        text: `A rule of ${at.name} leaves connections to services too small a TTL to be passed on`,
        evidence: [because],
        remedy: [],
        hint: "Delete the rule that sets it: iptables-save -t mangle | grep TTL, nft list ruleset | grep -E 'ttl|hoplimit'",
      };
    case "reverse-path":
      return {
        code: "REVERSE_PATH_FILTERED",
        subject: `rp_filter on ${at.name}`,
        text: `${at.name} drops packets whose answers would leave by another device`,
        evidence: [because, ...counter(at, "TcpExtIPReversePathFilter")],
        remedy: [],
        hint: "Mend the route to the sender, or loosen it: sysctl -w net.ipv4.conf.all.rp_filter=2",
      };
    case "route-refuses":
      return refusingRoute(at, destination, because);
    case "no-route": {
      const isVip = at.plan.ports.some(({ frontends }) =>
        frontends.some(({ addresses }) => addresses.some((one) => one === destination)),
      );
      return isVip ? missingVipRoute(at, family, because) : missingRoute(at, destination, because);
    }
    case "martian":
      return {
        code: "REVERSE_PATH_FILTERED",
        subject: `addresses on ${at.name}`,
        text: `The kernel of ${at.name} takes no such packet: ${because}`,
        evidence: [because],
        remedy: [],
        hint: "Look at the addresses of the host and its pods (ip address): one is used twice, in the wrong place, or with a wrong mask",
      };
  }
}

function sysctlOfForwarding(family: number): string {
  return family === 4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
}

/** @param sysctl that of the host, or of one device */
function forwardingOff({ name }: ObservedHost, sysctl: string): Finding {
  const device = /^net\.ipv4\.conf\.(.+)\.forwarding$/.exec(sysctl)?.[1];
  const family = sysctl.startsWith("net.ipv4.") ? 4 : 6;
  return {
    code: "FORWARDING_OFF",
    subject: `sysctl ${sysctl}`,
    text:
      device === undefined
        ? `${name} does not forward IPv${family}: pods and clients from outside reach no endpoint elsewhere`
        : `${name} does not forward what comes in by ${device}, though it forwards what comes by others`,
    evidence: [`${sysctl} is 0`],
    // A device's name may have dots, as flannel.1 has.
    remedy: [device === undefined ? `sysctl -w ${sysctl}=1` : `sysctl -w net/ipv4/conf/${device}/forwarding=1`],
    hint: "Write it into /etc/sysctl.d as well",
  };
}

/** So many addresses are routed one by one. */
const MOST_ROUTES = 20;

/** The host's own programs ask for a route before any rule is asked. */
function missingVipRoute(at: ObservedHost, family: number, because: string): Finding {
  const ofFamily = (address: string) => address.includes(":") === (family === 6);
  const blocks = at.plan.node.serviceCIDRs.filter(({ address }) => ofFamily(address));
  const vips = at.plan.ports.flatMap(({ service }) => service.clusterIPs.filter(ofFamily));
  const targets =
    blocks.length > 0
      ? blocks.map(({ address, prefixLength }) => `${address}/${prefixLength}`)
      : [...new Set(vips)].slice(0, MOST_ROUTES);
  return {
    code: "VIP_ROUTE_MISSING",
    subject: `IPv${family} route to services`,
    text: `${at.name} has no route to the services' addresses, so its own programs fail before any rule is asked`,
    evidence: [because, ...counter(at, "IpOutNoRoutes")],
    suspect: "somebody who took the default route away",
    remedy: targets.map((target) => `ip route add ${target} dev lo`),
    hint: "Or give the host a default route again",
  };
}

/** A route to an endpoint's pods. */
export function missingRoute(at: ObservedHost, destination: string, because: string): Finding {
  const owner = at.plan.hosts.find(({ pods }) =>
    pods.some(({ addresses }) => addresses.some(({ address }) => address === destination)),
  );
  const cidr = owner?.podCIDRs.find(({ address }) => address.includes(":") === destination.includes(":"));
  const block = cidr === undefined ? destination : `${cidr.address}/${cidr.prefixLength}`;
  if (owner?.name === at.name)
    return {
      code: "ROUTE_MISSING",
      subject: `route to ${block}`,
      text: `No device of ${at.name} leads to its own pods (${block})`,
      evidence: [because],
      suspect: "somebody who took the address of the pods' bridge away, or disabled IPv6 on it",
      remedy: [],
      hint: "Give the bridge its address again (ip address add … dev …), or restart what makes it",
    };
  return {
    code: "ROUTE_MISSING",
    subject: `route to ${block}`,
    text: `${at.name} has no route of its own to ${owner === undefined ? destination : `the pods of ${owner.name} (${block})`}`,
    evidence: [because],
    suspect: "flanneld, or whatever sets the routes to pods, is not running or lost its lease",
    remedy: [],
    hint: `Restart what sets it (systemctl restart flanneld); by hand: ip route add ${block} …`,
  };
}

/** What the kernel has counted, where it has. */
function counter({ snapshot }: ObservedHost, name: string): readonly string[] {
  const value = snapshot.counters[name];
  return value === undefined || value === 0 ? [] : [`${name} is ${value}`];
}

function replyFinding({ fact, because }: Extract<StopReason, { readonly kind: "replyFact" }>, family: number): Finding {
  if (fact === "bridge-past-netfilter") {
    const sysctl = family === 4 ? "net.bridge.bridge-nf-call-iptables" : "net.bridge.bridge-nf-call-ip6tables";
    return {
      code: "BRIDGE_PAST_NETFILTER",
      subject: `sysctl ${sysctl}`,
      text: "Connections to an endpoint on the client's own bridge get no answer: it passes the rules by",
      evidence: [because],
      remedy: ["modprobe br_netfilter", `sysctl -w ${sysctl}=1`],
      hint: "Write both into /etc/modules-load.d and /etc/sysctl.d as well",
    };
  }
  return {
    code: "MASQUERADE_MISSING",
    subject: `IPv${family} nat POSTROUTING`,
    text: "The source of connections is not rewritten where it has to be, so their answers do not come back here",
    evidence: [because],
    suspect: "somebody who flushed nat POSTROUTING, or took our jump or mark away",
    remedy: [],
    hint: "Let the service proxy write its rules again: svcproxy … apply with this topology, or restart kube-proxy",
  };
}

function missingFinding(
  { frontend, address, port, passed }: Extract<StopReason, { readonly kind: "notTranslated" }>,
  { at, family }: { readonly at: ObservedHost; readonly family: number },
): Finding {
  const where = frontend === "nodePort" ? `NodePort ${port}` : formatSocketAddress({ address, port });
  if (passed !== undefined)
    return outdated(
      `No rule takes what is dialled at ${where}: it passed ${placeOf(passed)}, and nothing there is for it`,
      passed,
    );
  return {
    code: "RULES_MISSING",
    subject: `IPv${family} rules of the service proxy`,
    text: "Connections to services pass the service proxy's rules by: nothing jumps to them, or they are not here",
    evidence: [`what is dialled at ${where} meets no rule of a service proxy`, ...jumps(at, family)],
    suspect: "somebody who flushed a chain or a table (iptables -F, nft flush ruleset, firewall-cmd --reload)",
    remedy: [],
    hint: "Let it write them again: svcproxy … apply with this topology; an agent does so by itself; or restart kube-proxy",
  };
}

/** From which built-in chains rules of a service proxy are reached. */
function jumps(at: ObservedHost, family: number): readonly string[] {
  const rules = at.rules(family === 4 ? 4 : 6);
  if (rules === undefined) return [];
  const chains = rules.iptables.flatMap(({ rules: { tables } }) =>
    tables.filter(({ name }) => name === "nat").flatMap(({ chains: all }) => all),
  );
  const services = chains.filter(({ name }) => name.startsWith("KUBE-"));
  if (services.length === 0) return ["the nat table has no chain KUBE-…"];
  const reached = ["PREROUTING", "OUTPUT", "POSTROUTING"].filter((name) =>
    chains.some(
      (chain) =>
        chain.name === name &&
        chain.rules.some(({ target }) => target.kind === "jump" && target.chain.startsWith("KUBE-")),
    ),
  );
  return [
    `its ${services.length} chains are in the nat table; jumped to from ${reached.length === 0 ? "none" : reached.join(", ")}`,
  ];
}

function outdated(text: string, place: RulePlace | undefined): Finding {
  return {
    code: "RULES_OUTDATED",
    subject: "rules of the service proxy",
    text,
    evidence: place === undefined ? [] : [`${placeOf(place)}: ${place.text}`],
    suspect: "a service proxy that has stopped, or follows another source",
    remedy: [],
    hint: "Compare and mend: svcproxy … diff, then apply; or restart kube-proxy",
  };
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}
