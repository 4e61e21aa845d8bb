import { type Cidr, cidrContains, type IpAddress } from "@svcproxy/topology";
import type { Match } from "../../match.ts";
import { protocolName } from "../../text/protocol-names.ts";
import type { ConnectionView, PacketView } from "../packet/packet-view.ts";
import { connectionStatus } from "./connection-status.ts";
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
  const ends = [
    matchEnd(connection.original.source, match.originalSource),
    matchEnd(connection.original.destination, match.originalDestination),
    matchEnd(connection.reply.source, match.replySource),
    matchEnd(connection.reply.destination, match.replyDestination),
    matchNegatableRange(connection.original.sourcePorts, match.originalSourcePorts, "the client's port"),
    matchNegatableRange(connection.original.destinationPorts, match.originalDestinationPorts, "the port dialled"),
    matchNegatableRange(connection.reply.sourcePorts, match.replySourcePorts, "the endpoint's port"),
    matchNegatableRange(connection.reply.destinationPorts, match.replyDestinationPorts, "the client's port"),
    match.direction === undefined ? YES : decided(match.direction === connection.direction),
  ];
  if (connection.isErrorAbout === true && asksForTuple(match)) results.push(unknown(ERROR_ABOUT));
  else results.push(...ends);
  if (match.protocol !== undefined) {
    const { protocol } = connection;
    const wanted = protocolName(match.protocol.protocol);
    const same = protocol === undefined ? unknown(ERROR_ABOUT) : decided(wanted === protocol);
    results.push(negate(same, match.protocol.negated));
  }
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

export const ERROR_ABOUT = "of which connection the ICMP error tells is not known";

function asksForTuple({ direction, ...match }: ConntrackMatch): boolean {
  const { originalSource, originalDestination, replySource, replyDestination } = match;
  const { originalSourcePorts, originalDestinationPorts, replySourcePorts, replyDestinationPorts } = match;
  const addresses = [originalSource, originalDestination, replySource, replyDestination];
  const ports = [originalSourcePorts, originalDestinationPorts, replySourcePorts, replyDestinationPorts];
  return [direction, ...addresses, ...ports].some((end) => end !== undefined);
}

function matchStatus(connection: ConnectionView, status: string): MatchResult {
  switch (status) {
    case "CONFIRMED":
      return decided(connection.isConfirmed);
    case "SEEN_REPLY":
      return known(connectionStatus(connection).seenReply, "it was answered");
    case "EXPECTED":
      return known(connectionStatus(connection).expected, "it was expected");
    case "ASSURED":
      return known(connectionStatus(connection).assured, "it got so far that it is kept");
    default:
      // NONE has no bit, so it never holds.
      return NO;
  }
}
