import { type Cidr, cidrContains, type IpAddress } from "@svcproxy/topology";
import type { Match } from "../../match.ts";
import { protocolName } from "../../text/protocol-names.ts";
import type { ConnectionView, PacketView } from "../packet/packet-view.ts";
import { matchNegatableRange } from "./match-ports.ts";
import { allOf, anyOf, decided, type MatchResult, NO, negate, unknown, YES } from "./match-result.ts";

type ConntrackMatch = Extract<Match, { readonly kind: "conntrack" }>;

/** `-m state`: a packet that conntrack has not seen yet counts as INVALID. */
export function matchState(packet: PacketView, states: readonly string[]): MatchResult {
  const state = packet.connection?.state ?? "INVALID";
  return decided(states.includes(state));
}

/** `-m conntrack`. @see linux net/netfilter/xt_conntrack.c */
export function matchConntrack(packet: PacketView, match: ConntrackMatch): MatchResult {
  const results: MatchResult[] = [];
  if (match.states !== undefined) {
    results.push(negate(matchStates(packet, match.states.states), match.states.negated));
  }
  const connection = packet.connection;
  if (connection === undefined || connection.state === "INVALID" || connection.state === "UNTRACKED") {
    // Without a connection only the state can hold.
    return match.states === undefined ? NO : allOf(results);
  }
  results.push(
    matchEnd(connection.original.source, match.originalSource),
    matchEnd(connection.original.destination, match.originalDestination),
    matchEnd(connection.reply.source, match.replySource),
    matchEnd(connection.reply.destination, match.replyDestination),
    matchNegatableRange(connection.original.sourcePorts, match.originalSourcePorts, "the client's port"),
    matchNegatableRange(connection.original.destinationPorts, match.originalDestinationPorts, "the port dialled"),
    matchNegatableRange(connection.reply.sourcePorts, match.replySourcePorts, "the endpoint's port"),
    matchNegatableRange(connection.reply.destinationPorts, match.replyDestinationPorts, "the client's port"),
  );
  if (match.protocol !== undefined) {
    const same =
      protocolName(match.protocol.protocol) === (connection.isTemplate === true ? "hopopt" : packet.protocol);
    results.push(negate(decided(same), match.protocol.negated));
  }
  if (match.direction !== undefined) results.push(decided(match.direction === connection.direction));
  if (match.status !== undefined) {
    results.push(negate(anyOf(match.status.statuses.map((s) => matchStatus(connection, s))), match.status.negated));
  }
  if (match.expire !== undefined) results.push(unknown("how long conntrack keeps the connection is not known"));
  return allOf(results);
}

function matchStates(packet: PacketView, states: readonly string[]): MatchResult {
  const { connection } = packet;
  return anyOf([
    matchState(packet, states),
    ...(connection === undefined || connection.state === "INVALID" || connection.state === "UNTRACKED"
      ? []
      : [
          states.includes("SNAT") ? known(connection.sourceTranslated, "its source was translated") : NO,
          states.includes("DNAT") ? known(connection.destinationTranslated, "its destination was translated") : NO,
        ]),
  ]);
}

function known(fact: boolean | undefined, what: string): MatchResult {
  return fact === undefined ? unknown(`whether ${what} is not known`) : decided(fact);
}

function matchEnd(
  address: IpAddress,
  wanted: { readonly negated: boolean; readonly cidr: Cidr } | undefined,
): MatchResult {
  return wanted === undefined ? YES : decided(cidrContains(wanted.cidr, address) !== wanted.negated);
}

/** The status bits that a connection has when its first packet passes, and later ones. NONE has no bit, so it never holds. */
function matchStatus({ state, direction, isConfirmed }: ConnectionView, status: string): MatchResult {
  const isFirst = state === "NEW";
  switch (status) {
    case "CONFIRMED":
      return decided(isConfirmed);
    case "SEEN_REPLY":
      return isFirst
        ? NO
        : direction === "REPLY" || state === "ESTABLISHED"
          ? YES
          : unknown("it may be answered or not");
    case "EXPECTED":
      return state === "RELATED" ? unknown("it may be expected or not") : NO;
    case "ASSURED":
      return isFirst ? NO : unknown("how far the connection has got is not known");
    default:
      return NO;
  }
}
