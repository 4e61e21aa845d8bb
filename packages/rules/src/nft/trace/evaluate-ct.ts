import { connectionStatus } from "../../trace/match/connection-status.ts";
import { ERROR_ABOUT } from "../../trace/match/match-connection.ts";
import type { ConnectionView, Tuple } from "../../trace/packet/packet-view.ts";
import type { NftExpression } from "../nft-rule-set.ts";
import { SYMBOLS } from "../symbols.ts";
import type { NftAsked } from "./asked.ts";
import { protocolValue } from "./evaluate-payload.ts";
import { known, unknownValue, type Value } from "./value.ts";

/**
 * What conntrack knows of the packet; undefined where it knows no connection, which ends the rule.
 *
 * @see linux net/netfilter/nft_ct.c
 */
export function evaluateCt(
  { key, direction }: Extract<NftExpression, { readonly kind: "ct" }>,
  { packet }: NftAsked,
): Value | undefined {
  const { connection } = packet;
  // A packet that conntrack has not seen counts as invalid.
  if (key === "state") return known(SYMBOLS["ct_state"]?.get((connection?.state ?? "INVALID").toLowerCase()) ?? 1);
  if (connection === undefined || connection.state === "INVALID" || connection.state === "UNTRACKED") return undefined;
  // Of a template nftables tells the state alone.
  if (connection.isTemplate === true) return undefined;
  if (connection.isErrorAbout === true && OF_TUPLE.includes(key)) return unknownValue(ERROR_ABOUT);
  const tuple = direction === "reply" ? connection.reply : connection.original;
  switch (key) {
    case "status":
      return statusOf(connection);
    case "mark":
      return connection.mark === undefined
        ? unknownValue("the connection's mark is not known")
        : known(connection.mark);
    case "direction":
      return known(connection.direction === "ORIGINAL" ? "original" : "reply");
    case "ip saddr":
    case "ip daddr":
      return packet.family === 4 ? addressOf(tuple, key.endsWith("saddr")) : undefined;
    case "ip6 saddr":
    case "ip6 daddr":
      return packet.family === 6 ? addressOf(tuple, key.endsWith("saddr")) : undefined;
    case "proto-src":
    case "proto-dst":
      return portOf(tuple, key === "proto-src");
    case "l3proto":
      return known(packet.family === 4 ? "ipv4" : "ipv6");
    case "protocol":
      return connection.protocol === undefined
        ? unknownValue(ERROR_ABOUT)
        : protocolValue({ protocol: connection.protocol });
    case "zone":
      return known(zoneOf(connection, direction));
    case "packets":
    case "bytes":
      return carried(key, { connection, direction, length: packet.length });
    case "helper":
      // Asked is the connection that announced this one, which a new one has not.
      return connection.state === "NEW"
        ? undefined
        : unknownValue("which helper announced the connection is not known");
    default:
      return unknownValue(`ct ${key} is not known`);
  }
}

/** What an ICMP error has of the connection that it tells of. */
const OF_TUPLE: readonly string[] = [
  ...["direction", "ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr", "proto-src", "proto-dst", "protocol"],
];

interface Counted {
  readonly connection: ConnectionView;
  readonly direction: "original" | "reply" | undefined;
  readonly length: number | undefined;
}

/** Of a connection's first packet what it has carried is known: that packet. */
function carried(unit: "packets" | "bytes", { connection, direction, length }: Counted): Value {
  if (connection.state !== "NEW" || connection.direction === "REPLY")
    return unknownValue("how much the connection has carried is not known");
  if (direction === "reply") return known(0);
  if (unit === "packets") return known(1);
  return length === undefined ? unknownValue("the packet's length is not known") : known(length);
}

/** @see linux nf_conntrack_zones.h, nf_ct_zone_id */
function zoneOf(
  { originalZone = 0, replyZone = 0 }: ConnectionView,
  direction: "original" | "reply" | undefined,
): number {
  if (direction === undefined) return originalZone === 0 ? replyZone : originalZone;
  return direction === "reply" ? replyZone : originalZone;
}

function addressOf(tuple: Tuple, isSource: boolean): Value {
  return known(isSource ? tuple.source : tuple.destination);
}

function portOf({ sourcePorts, destinationPorts }: Tuple, isSource: boolean): Value {
  const ports = isSource ? sourcePorts : destinationPorts;
  const what = isSource ? "the client's port" : "the port dialled";
  if (ports === undefined) return unknownValue(`${what} is not known`);
  return ports.from === ports.to ? known(ports.from) : { kind: "within", ...ports, what };
}

const STATUS = { expected: 1, seenReply: 2, assured: 4, confirmed: 8, snat: 16, dnat: 32 } as const;

/** Of a connection's many bits those that rules ask for, as far as they are known. */
function statusOf(connection: ConnectionView): Value {
  const { isConfirmed, sourceTranslated, destinationTranslated } = connection;
  const { seenReply, expected, assured } = connectionStatus(connection);
  let knownBits: number = STATUS.confirmed;
  let set: number = isConfirmed ? STATUS.confirmed : 0;
  const add = (bit: number, fact: boolean | undefined) => {
    if (fact === undefined) return;
    knownBits |= bit;
    if (fact) set |= bit;
  };
  add(STATUS.snat, sourceTranslated);
  add(STATUS.dnat, destinationTranslated);
  add(STATUS.expected, expected);
  add(STATUS.seenReply, seenReply);
  add(STATUS.assured, assured);
  return { kind: "bits", known: knownBits, set, what: "the connection's status" };
}
