import { tupleOf } from "../packet/entry.ts";
import type { PacketView, Tuple } from "../packet/packet-view.ts";
import type { Ended, WalkState } from "./walk-state.ts";

/** The packet as it came to the first hook. */
export function packetAsSent({ packet, past }: WalkState): PacketView {
  let first: PacketView = packet;
  for (let at = past; at !== undefined; at = at.earlier) if (at.event.kind === "hook") first = at.event.packet;
  return first;
}

/** Whether a rule of nftables wrote addresses or ports into the packet itself (`ip daddr set`), beside all that NAT mapped. */
export function isWritten(state: WalkState): boolean {
  const { packet } = state;
  const { connection } = packet;
  if (connection?.direction === "REPLY") return false;
  const sent = tupleOf(packetAsSent(state));
  if (connection === undefined || connection.isTemplate === true) return !isSameTuple(tupleOf(packet), sent);
  return !isSameTuple(connection.original, sent) || isBehindItsConnection(packet);
}

/**
 * Whether a rule of nftables wrote addresses or ports of a packet after its connection was known. NAT works from the connection's, and
 * leaves the packet alone where it would give the connection what it has.
 */
export function isBehindItsConnection(packet: PacketView): boolean {
  const { connection } = packet;
  if (connection === undefined || connection.direction === "REPLY") return false;
  if (connection.isTemplate === true || connection.isErrorAbout === true) return false;
  const { source, destination, sourcePorts, destinationPorts } = connection.reply;
  return (
    packet.source !== destination ||
    packet.destination !== source ||
    packet.sourcePorts?.from !== destinationPorts?.from ||
    packet.destinationPorts?.from !== sourcePorts?.from
  );
}

export function isSameTuple(a: Tuple, b: Tuple): boolean {
  return (
    a.source === b.source &&
    a.destination === b.destination &&
    a.sourcePorts?.from === b.sourcePorts?.from &&
    a.destinationPorts?.from === b.destinationPorts?.from
  );
}

/**
 * A refusal goes to the address that the packet has, and quotes the packet as it is: where a rule wrote another one, the client
 * gets no refusal of what it sent, or none at all.
 */
export function withOpenRefusal(ended: Ended): Ended {
  const { state, ending } = ended;
  if (ending.kind !== "refused" || ending.answer.kind === "told" || !isWritten(state)) return ended;
  const because = `a rule wrote addresses or ports of it, and then it is refused (${ending.because}): whether its sender learns of that is not known`;
  return { state, ending: { kind: "undecided", because } };
}
