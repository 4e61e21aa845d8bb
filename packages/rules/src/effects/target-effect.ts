import { unreachable } from "@svcproxy/topology";
import type { Target } from "../target.ts";
import type { Subject, TargetEffect } from "./effect.ts";

/** What a target reads, changes and does with the packet's walk. The one table: whoever asks about extensions asks here. */
export function targetEffect(target: Target): TargetEffect {
  switch (target.kind) {
    case "ct":
      return target.notrack ? NOTRACK : CT;
    case "set":
      return target.mapsMark ? SET_MAPPING : SET;
    case "connmark":
      return target.action === "restore" ? CONNMARK_RESTORING : CONNMARK;
    case "unknown":
      return OTHER_TARGETS.get(target.name) ?? NOT_KNOWN;
    case "none":
    case "accept":
    case "drop":
    case "return":
    case "jump":
    case "goto":
    case "dnat":
    case "snat":
    case "masquerade":
    case "redirect":
    case "netmap":
    case "mark":
    case "reject":
    case "log":
    case "nflog":
    case "tcpmss":
    case "checksum":
    case "tproxy":
    case "trace":
    case "tos":
    case "dscp":
    case "ttl":
      return PLAIN[target.kind];
    default:
      return unreachable(target);
  }
}

/** Whether a target of this name is one of iptables' or of xtables-addons'; any other name is a chain's. */
export function isTargetName(name: string): boolean {
  return OTHER_TARGETS.has(name);
}

type PlainKind = Exclude<Target["kind"], "ct" | "set" | "connmark" | "unknown">;

function does(next: TargetEffect["next"], changes: readonly Subject[], reads: readonly Subject[] = []): TargetEffect {
  return { reads, changes, certainty: "pure", next, tracks: false };
}

function goesOn(...changes: readonly Subject[]): TargetEffect {
  return does("goesOn", changes);
}

function translates(subjects: readonly Subject[], ...reads: readonly Subject[]): TargetEffect {
  return { ...does("ends", [...subjects, "connection"], ["connection", ...reads]), certainty: "random", tracks: true };
}

/** Each kind whose fields make no difference. */
const PLAIN: Readonly<Record<PlainKind, TargetEffect>> = {
  none: goesOn(),
  accept: does("ends", []),
  drop: does("ends", []),
  return: does("returns", []),
  jump: does("jumps", []),
  goto: does("jumps", []),
  dnat: translates(["address", "port"]),
  snat: translates(["address", "port"]),
  masquerade: translates(["address", "port"], "interface", "route"),
  redirect: translates(["address", "port"], "interface"),
  netmap: translates(["address"]),
  mark: goesOn("mark"),
  reject: does("ends", ["copy"]),
  log: goesOn("log"),
  nflog: goesOn("log"),
  tcpmss: goesOn("header"),
  checksum: goesOn("header"),
  tproxy: does("ends", ["mark", "socket"], ["socket"]),
  trace: goesOn("log"),
  tos: goesOn("tos"),
  dscp: goesOn("tos"),
  ttl: goesOn("ttl"),
};

const NOTRACK = goesOn("tracking");
const CT: TargetEffect = { ...goesOn("tracking"), tracks: true };
const SET = does("goesOn", ["set"], ["address", "port", "protocol", "interface", "linkAddress", "mark"]);
const SET_MAPPING = does("goesOn", ["set", "mark", "priority"], [...SET.reads, "set"]);
const CONNMARK: TargetEffect = { ...does("goesOn", ["connectionMark"], ["mark", "connection"]), tracks: true };
const CONNMARK_RESTORING: TargetEffect = {
  ...does("goesOn", ["mark"], ["connectionMark", "connection"]),
  tracks: true,
};

const NOT_KNOWN: TargetEffect = {
  reads: ["anything"],
  changes: ["anything"],
  certainty: "unknown",
  next: "unknown",
  tracks: true,
};

/** Targets kept word for word: those that let the packet go on, and those of which it is not known. */
const OTHER_TARGETS: ReadonlyMap<string, TargetEffect> = new Map([
  ["AUDIT", goesOn("log")],
  ["CLASSIFY", goesOn("priority")],
  ["CONNSECMARK", { ...goesOn("security"), tracks: true }],
  ["ECN", goesOn("tos", "header")],
  ["HMARK", goesOn("mark")],
  ["IDLETIMER", goesOn("counter")],
  ["LED", goesOn("log")],
  ["RATEEST", goesOn("counter")],
  ["SECMARK", goesOn("security")],
  ["TCPOPTSTRIP", goesOn("header")],
  ["TEE", goesOn("copy")],
  ["ULOG", goesOn("log")],
  ...["CLUSTERIP", "DNPT", "DSCP", "HL", "MIRROR", "NAT", "NETMAP", "NFQUEUE", "QUEUE", "SAME", "SET", "SNPT"].map(
    (name) => [name, NOT_KNOWN] as const,
  ),
  ...["SYNPROXY", "TOS", "TTL"].map((name) => [name, NOT_KNOWN] as const),
  // xtables-addons
  ["ACCOUNT", goesOn("counter")],
  ["LOGMARK", goesOn("log")],
  ["IPMARK", goesOn("mark")],
  ...["CHAOS", "DELUDE", "DHCPMAC", "DNETMAP", "ECHO", "PROTO", "SYSRQ", "TARPIT"].map(
    (name) => [name, NOT_KNOWN] as const,
  ),
]);
