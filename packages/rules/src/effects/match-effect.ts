import { unreachable } from "@svcproxy/topology";
import type { Match } from "../match.ts";
import type { MatchEffect, Subject } from "./effect.ts";

/** What a match reads and changes, by its kind and by its fields. The one table: whoever asks about extensions asks here. */
export function matchEffect(match: Match): MatchEffect {
  switch (match.kind) {
    case "statistic":
      return match.mode === "random" ? RANDOM : match.every > 1 ? NTH : ALWAYS;
    case "recent":
      return match.action === "rcheck" && match.reap !== true ? RECENT : RECENT_WRITING;
    case "set":
      return match.rest.length === 0 ? SET : SET_COUNTING;
    case "socket":
      return match.restoreMark ? SOCKET_RESTORING : SOCKET;
    case "connlabel":
      return match.set ? CONNLABEL_SETTING : CONNLABEL;
    case "unknown":
      return match.module === undefined ? BARE_OPTION : (OTHER_MODULES.get(match.module) ?? NOT_KNOWN);
    case "source":
    case "destination":
    case "inInterface":
    case "outInterface":
    case "protocol":
    case "fragment":
    case "tcp":
    case "udp":
    case "sctp":
    case "icmp":
    case "multiport":
    case "addrtype":
    case "mark":
    case "connmark":
    case "conntrack":
    case "state":
    case "comment":
    case "physdev":
    case "limit":
    case "owner":
    case "iprange":
    case "rpfilter":
    case "mac":
    case "length":
    case "ttl":
    case "pkttype":
    case "helper":
    case "devgroup":
    case "connbytes":
    case "policy":
    case "nfacct":
    case "tos":
    case "dscp":
      return PLAIN[match.kind];
    default:
      return unreachable(match);
  }
}

type PlainKind = Exclude<Match["kind"], "statistic" | "recent" | "set" | "socket" | "connlabel" | "unknown">;

function header(...reads: readonly Subject[]): MatchEffect {
  return { reads, changes: [], certainty: "pure", isHeader: true, tracks: false };
}

function pure(...reads: readonly Subject[]): MatchEffect {
  return { ...header(...reads), isHeader: false };
}

function tracking(...reads: readonly Subject[]): MatchEffect {
  return { ...pure(...reads), tracks: true };
}

function stateful(reads: readonly Subject[], changes: readonly Subject[]): MatchEffect {
  return { ...pure(...reads), changes, certainty: "stateful" };
}

/** Each kind whose fields make no difference. */
const PLAIN: Readonly<Record<PlainKind, MatchEffect>> = {
  source: header("address"),
  destination: header("address"),
  inInterface: header("interface"),
  outInterface: header("interface"),
  protocol: header("protocol"),
  fragment: header("header"),
  tcp: pure("protocol", "port", "header"),
  udp: pure("protocol", "port"),
  sctp: pure("protocol", "port", "payload"),
  icmp: pure("protocol", "header"),
  multiport: pure("protocol", "port"),
  addrtype: pure("address", "interface", "route"),
  mark: pure("mark"),
  connmark: tracking("connectionMark", "connection"),
  conntrack: tracking("connection", "protocol"),
  state: tracking("connection"),
  comment: pure(),
  physdev: pure("bridgePort"),
  limit: stateful(["counter", "clock"], ["counter"]),
  owner: pure("socket"),
  iprange: pure("address"),
  rpfilter: pure("address", "interface", "mark", "tos", "route"),
  mac: pure("linkAddress"),
  length: pure("length"),
  ttl: pure("ttl"),
  pkttype: pure("linkAddress", "address"),
  helper: tracking("connection"),
  devgroup: pure("interface"),
  connbytes: tracking("connection"),
  policy: pure("security"),
  nfacct: stateful([], ["counter"]),
  tos: pure("tos"),
  dscp: pure("tos"),
};

const RANDOM: MatchEffect = { ...pure(), certainty: "random" };
const ALWAYS = pure();
const NTH = stateful(["counter"], ["counter"]);
const RECENT: MatchEffect = { ...pure("address", "ttl", "recentList", "clock"), certainty: "stateful" };
const RECENT_WRITING: MatchEffect = { ...RECENT, changes: ["recentList"] };
const SET = pure("address", "port", "protocol", "interface", "linkAddress", "mark", "set");
const SET_COUNTING: MatchEffect = { ...SET, changes: ["counter"], certainty: "stateful" };
const SOCKET = pure("address", "port", "protocol", "socket");
const SOCKET_RESTORING: MatchEffect = { ...SOCKET, changes: ["mark"] };
const CONNLABEL = tracking("connectionLabel", "connection");
const CONNLABEL_SETTING: MatchEffect = { ...CONNLABEL, changes: ["connectionLabel"] };

/** An option of the rule itself with a value that is not understood, such as a host's name. */
const BARE_OPTION = header("address", "interface", "protocol");

const NOT_KNOWN: MatchEffect = {
  reads: ["anything"],
  changes: ["anything"],
  certainty: "unknown",
  isHeader: false,
  tracks: true,
};

/** Modules of which it is known what they look at, though not what they answer. */
const OTHER_MODULES: ReadonlyMap<string, MatchEffect> = new Map([
  ...[
    "ah",
    "dccp",
    "dst",
    "eui64",
    "esp",
    "frag",
    "hbh",
    "ipcomp",
    "ipv6header",
    "mh",
    "rt",
    "srh",
    "tcpmss",
    "l2tp",
  ].map((name) => [name, pure("protocol", "header")] as const),
  ["ecn", pure("tos", "header")],
  ["osf", pure("header", "ttl")],
  ["string", pure("address", "port", "header", "payload", "ttl", "tos", "length")],
  ["u32", pure("address", "port", "header", "payload", "ttl", "tos", "length")],
  ["bpf", pure("address", "port", "header", "payload", "ttl", "tos", "length", "mark", "interface")],
  ["cgroup", pure("socket")],
  ["cpu", pure("clock")],
  ["realm", pure("route")],
  ["time", pure("clock")],
  ["cluster", tracking("connection", "linkAddress")],
  ["ipvs", tracking("connection")],
  ["connlimit", { ...stateful(["connection", "address", "counter"], ["counter"]), tracks: true }],
  ["hashlimit", stateful(["address", "port", "counter", "clock"], ["counter"])],
  ["quota", stateful(["length", "counter"], ["counter"])],
  ["rateest", pure("counter", "clock")],
]);
