import type { Match } from "../rule-set.ts";
import type { ExtensionSyntax } from "./extension-syntax.ts";
import {
  ADDRTYPE_SYNTAX,
  COMMENT_SYNTAX,
  ICMP_SYNTAX,
  IPRANGE_SYNTAX,
  LENGTH_SYNTAX,
  LIMIT_SYNTAX,
  MAC_SYNTAX,
  OWNER_SYNTAX,
  PHYSDEV_SYNTAX,
  RPFILTER_SYNTAX,
  SET_SYNTAX,
  SOCKET_SYNTAX,
  TTL_SYNTAX,
} from "./packet-matches.ts";
import { MULTIPORT_SYNTAX, SCTP_SYNTAX, TCP_SYNTAX, UDP_SYNTAX } from "./port-matches.ts";
import {
  CONNMARK_SYNTAX,
  CONNTRACK_SYNTAX,
  MARK_SYNTAX,
  RECENT_SYNTAX,
  STATE_SYNTAX,
  STATISTIC_SYNTAX,
} from "./state-matches.ts";

/** Match modules whose options are understood, by the name behind `-m`. */
export const MATCH_SYNTAX: ReadonlyMap<string, ExtensionSyntax<Match>> = new Map([
  ["tcp", TCP_SYNTAX],
  ["udp", UDP_SYNTAX],
  ["sctp", SCTP_SYNTAX],
  ["icmp", ICMP_SYNTAX],
  ["icmp6", ICMP_SYNTAX],
  ["icmpv6", ICMP_SYNTAX],
  ["multiport", MULTIPORT_SYNTAX],
  ["addrtype", ADDRTYPE_SYNTAX],
  ["mark", MARK_SYNTAX],
  ["connmark", CONNMARK_SYNTAX],
  ["conntrack", CONNTRACK_SYNTAX],
  ["state", STATE_SYNTAX],
  ["statistic", STATISTIC_SYNTAX],
  ["recent", RECENT_SYNTAX],
  ["comment", COMMENT_SYNTAX],
  ["set", SET_SYNTAX],
  ["physdev", PHYSDEV_SYNTAX],
  ["limit", LIMIT_SYNTAX],
  ["owner", OWNER_SYNTAX],
  ["iprange", IPRANGE_SYNTAX],
  ["socket", SOCKET_SYNTAX],
  ["rpfilter", RPFILTER_SYNTAX],
  ["mac", MAC_SYNTAX],
  ["length", LENGTH_SYNTAX],
  ["ttl", TTL_SYNTAX],
  ["hl", TTL_SYNTAX],
]);

/** The module that `-p` loads by itself when one of its options is used. */
export const PROTOCOL_MODULES: ReadonlyMap<string, string> = new Map([
  ["tcp", "tcp"],
  ["udp", "udp"],
  ["udplite", "udp"],
  ["sctp", "sctp"],
  ["icmp", "icmp"],
  ["ipv6-icmp", "icmp6"],
  ["esp", "esp"],
  ["ah", "ah"],
  ["dccp", "dccp"],
  ["mobility-header", "mh"],
]);
