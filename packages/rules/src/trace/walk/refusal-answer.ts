import type { Family } from "@svcproxy/topology";

/** How the sender of a refused packet learns of it. */
export type RefusalAnswer =
  | { readonly kind: "icmp"; readonly type: number; readonly code: number }
  /** A TCP reset. */
  | { readonly kind: "reset" }
  /** It is a program of the host's, and the kernel tells it by an error. */
  | { readonly kind: "told" };

type IcmpAnswer = Extract<RefusalAnswer, { readonly kind: "icmp" }>;

/** The ICMP that names stand for, of iptables and of nftables alike, without what names the protocol. */
const CODES: Readonly<Record<Family, Readonly<Record<string, number>>>> = {
  4: {
    ...{ "net-unreachable": 0, "host-unreachable": 1, "proto-unreachable": 2, "prot-unreachable": 2 },
    ...{ "port-unreachable": 3, "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13, "no-route": 0 },
  },
  6: {
    ...{ "no-route": 0, "adm-prohibited": 1, "admin-prohibited": 1, "addr-unreachable": 3, "host-unreachable": 3 },
    ...{ "port-unreachable": 4, "policy-fail": 5, "reject-route": 6 },
  },
};

/** What REJECT, or `reject`, sends. @param how as the rule says it: `icmp-port-unreachable`, `icmpx no-route`, `tcp-reset` */
export function answerOfReject(how: string, family: Family): RefusalAnswer {
  if (/^tcp[ -]/.test(how)) return { kind: "reset" };
  return icmpAnswer(how.replace(/^icmp(v?6|x)?[ -]/, ""), family);
}

/** @param name such as `port-unreachable`; of a route that refuses, its type */
export function icmpAnswer(name: string, family: Family): IcmpAnswer {
  const ofRoute: Readonly<Record<string, string>> = {
    unreachable: family === 4 ? "host-unreachable" : "addr-unreachable",
    prohibit: "admin-prohibited",
    none: "no-route",
  };
  return { kind: "icmp", type: family === 4 ? 3 : 1, code: CODES[family][ofRoute[name] ?? name] ?? 0 };
}
