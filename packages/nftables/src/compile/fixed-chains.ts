import { unreachable } from "@svcproxy/topology";
import type { Chain, ChainHook, NftTable } from "../table/nft-table.ts";
import { ipOf } from "./collections.ts";
import { LEASE } from "./lease.ts";
import type { PodTest, TableSettings } from "./table-settings.ts";
import { RESTRICTED_BIT, TREATMENT_BITS } from "./treatment.ts";

/**
 * Before everybody who rewrites destinations at the usual -100, so that a service's address is ours: of two tables that are asked at
 * one priority, the one that was loaded last goes first.
 */
export const SERVICES_PRIORITY = -105;

/**
 * After every other table that rewrites destinations: what looks like a port or an address without a service may be another proxy's.
 */
const UNSERVED_PRIORITY = -80;

/** Before those that rewrite sources at 100. */
const MASQUERADE_PRIORITY = 95;

/** Where connection tracking has not begun. */
const RAW_PRIORITY = -300;

const TO_GROUP = "meta priority set meta priority & ffff:0";
const PICK = "meta priority vmap @groups";

/** The chains whose text depends on nothing but a few settings, in the order in which a packet meets them. */
export function fixedChains(settings: TableSettings): readonly Chain[] {
  // Who was asked first and has let go of the host must not stand in the way of who comes after.
  const whileLeased = settings.isLeased ? `meta l4proto @${LEASE} ` : "";
  return [
    base("prerouting", hook("prerouting", SERVICES_PRIORITY), {
      comment: "the first packet of each connection that comes in",
      rules: [`${whileLeased}jump services`],
    }),
    base("output", hook("output", SERVICES_PRIORITY), {
      comment: "the first packet of each connection of this host itself",
      rules: [`${whileLeased}jump services`],
    }),
    ...serviceChains(settings),
    ...treatmentChains(settings),
    base("late-prerouting", hook("prerouting", UNSERVED_PRIORITY), {
      comment: "what no table has sent to a service",
      rules: [`${whileLeased}jump unserved`],
    }),
    base("late-output", hook("output", UNSERVED_PRIORITY), {
      comment: "what no table has sent to a service",
      rules: [`${whileLeased}jump unserved`],
    }),
    ...unservedChains(settings),
    postrouting(settings),
    ...(settings.guardsLocalhost ? [localhostGuard()] : []),
  ];
}

function hook(name: ChainHook["hook"], priority: number): ChainHook {
  return { type: "nat", hook: name, priority };
}

function base(name: string, chainHook: ChainHook, rest: Omit<Chain, "name" | "hook">): Chain {
  return { name, hook: chainHook, ...rest };
}

/** Which service is it, and may this client use it? */
function serviceChains(settings: TableSettings): readonly Chain[] {
  const ip = ipOf(settings.family);
  const restricted = `meta priority & 0:${RESTRICTED_BIT.toString(16)} != none`;
  return [
    {
      name: "services",
      comment: "the service's group:kind is kept in the packet's priority, until postrouting takes it away",
      rules: [
        `meta priority set ${ip} daddr . meta l4proto . th dport map @services goto treat`,
        `${toNodePort(settings)} meta priority set meta l4proto . th dport map @nodeports goto treat`,
      ],
    },
    {
      name: "treat",
      rules: [
        `${restricted} ${ip} daddr . meta l4proto . th dport . ${ip} saddr != @allowed drop`,
        `meta priority & 0:${TREATMENT_BITS.toString(16)} vmap @treatments`,
        "drop",
      ],
    },
  ];
}

function toNodePort({ family, nodePorts }: TableSettings): string {
  const ip = ipOf(family);
  switch (nodePorts) {
    case "listed":
      return `${ip} daddr @nodeport-addresses`;
    case "every":
      return `fib daddr type local ${ip} daddr != ${family === 4 ? "127.0.0.0/8" : "::1"}`;
    case "every-and-loopback":
      return "fib daddr type local";
    default:
      return unreachable(nodePorts);
  }
}

/** Whose source is rewritten, and among which endpoints is one picked? */
function treatmentChains(settings: TableSettings): readonly Chain[] {
  const { masqueradeMark } = settings;
  const isPod = podMatch(settings);
  const marking = clusterIpMarking(settings);
  return [
    { name: "internal", comment: "a ClusterIP", rules: [...marking, "goto balance"] },
    {
      name: "internal-local",
      comment: "a ClusterIP under policy Local: the endpoints on this host, or silence",
      rules: [...marking, TO_GROUP, PICK, "drop"],
    },
    {
      name: "external",
      comment: "a NodePort, external or load-balancer IP",
      rules: ["jump mark-masquerade", "goto balance"],
    },
    {
      name: "external-local",
      comment: "the same under policy Local: this host and its pods get every endpoint, others those on this host",
      rules: [
        TO_GROUP,
        `fib saddr type local meta mark set meta mark | ${hex(masqueradeMark)} ${PICK}`,
        ...(isPod === undefined ? [] : [`${isPod} ${PICK}`]),
        `meta priority set meta priority map @local-groups ${PICK}`,
        "drop",
      ],
    },
    {
      name: "balance",
      comment: "one of the group's endpoints; refused where it has none",
      rules: [TO_GROUP, PICK, "reject with tcp reset", "reject"],
    },
    {
      name: "mark-masquerade",
      comment: "postrouting will rewrite the source",
      rules: [`meta mark set meta mark | ${hex(masqueradeMark)}`],
    },
  ];
}

/** Who dials a ClusterIP and is not a pod of this host would be answered past it. */
function clusterIpMarking(settings: TableSettings): readonly string[] {
  if (settings.masqueradeAll) return ["jump mark-masquerade"];
  const isNoPod = podMatch(settings, "!=");
  if (isNoPod === undefined) return [];
  // The host may have an address among the pods' own.
  return ["fib saddr type local jump mark-masquerade", `${isNoPod} jump mark-masquerade`];
}

function podMatch({ pods, family }: TableSettings, operator: "" | "!=" = ""): string | undefined {
  const is = operator === "" ? "" : `${operator} `;
  switch (pods.kind) {
    case "nobody":
      return undefined;
    case "source":
      return `${ipOf(family)} saddr ${is}@pods`;
    case "interface":
      return `iifname ${is}${interfaceText(pods)}`;
    default:
      return unreachable(pods);
  }
}

/** A `*` at the end stands for any further letters. */
function interfaceText({ name, isPrefix }: Extract<PodTest, { kind: "interface" }>): string {
  const literal = !isPrefix && name.endsWith("*") ? `${name.slice(0, -1)}\\*` : name;
  return `"${literal}${isPrefix ? "*" : ""}"`;
}

function unservedChains({ family }: TableSettings): readonly Chain[] {
  const ip = ipOf(family);
  return [
    {
      name: "unserved",
      comment: "a ClusterIP's other ports, and addresses of the service range that no service has",
      rules: [
        // Some machines own such an address: what listens there is theirs.
        "fib daddr type local return",
        `${ip} daddr @cluster-ips goto refuse`,
        `${ip} daddr @service-cidrs drop`,
      ],
    },
    {
      name: "refuse",
      // The kernel limits how many ICMP answers it sends, and an IPv6 client believes only the second.
      comment: "TCP by a reset, which no rate limits, the rest by ICMP; other protocols go on",
      rules: ["reject with tcp reset", "meta l4proto { udp, sctp } reject"],
    },
  ];
}

function postrouting({ family, masqueradeMark }: TableSettings): Chain {
  const ip = ipOf(family);
  return base("postrouting", hook("postrouting", MASQUERADE_PRIORITY), {
    comment: "the source addresses of connections that go to an endpoint",
    rules: [
      "ct status ! dnat return",
      "meta priority set none",
      `meta mark & ${hex(masqueradeMark)} != ${hex(0)} meta mark set meta mark & ${hex(~masqueradeMark >>> 0)} masquerade fully-random`,
      `${ip} saddr . ${ip} daddr @hairpins masquerade fully-random`,
    ],
  });
}

const GUARD = "guard-localhost";

/** Whether a table keeps neighbours off loopback. */
export function isGuarding({ chains }: Pick<NftTable, "chains">): boolean {
  return chains.some(({ name, rules }) => name === GUARD && rules.length > 0);
}

/** @see CVE-2020-8558 */
function localhostGuard(): Chain {
  return base(
    GUARD,
    { type: "filter", hook: "prerouting", priority: RAW_PRIORITY },
    {
      comment: "route_localnet lets packets from the network in to 127.0.0.1: only this host itself may go there",
      rules: ['iifname != "lo" ip daddr 127.0.0.0/8 drop', 'iifname != "lo" ip saddr 127.0.0.0/8 drop'],
    },
  );
}

/** A mark as nft prints it. */
function hex(mark: number): string {
  return `0x${mark.toString(16).padStart(8, "0")}`;
}
