import { add, compareFractions, equalFractions } from "../packet/fraction.ts";
import type { PacketView, Tuple } from "../packet/packet-view.ts";
import type { WalkState } from "./walk-state.ts";

/**
 * Ways that are at the same place with the same packet are one way from here on. Their chances add up; what the likelier
 * one went through is kept. Where they differ in an assumption only, and every answer to it led here, it made no difference.
 */
export function mergeStates(states: readonly WalkState[]): readonly WalkState[] {
  if (states.length < 2) return states;
  const byContent = new Map<string, WalkState[]>();
  for (const state of states) {
    const key = contentKey(state);
    const same = byContent.get(key);
    if (same === undefined) byContent.set(key, [state]);
    else same.push(state);
  }
  if (byContent.size === states.length) return states;
  return [...byContent.values()].flatMap(mergeEqual);
}

function mergeEqual(states: readonly WalkState[]): readonly WalkState[] {
  const ways = mergeChances(states);
  for (const way of ways) {
    const question = way.assumptions?.question;
    if (question === undefined) continue;
    const siblings = ways.filter(
      (other) =>
        other.assumptions?.question === question &&
        other.assumptions.earlier === way.assumptions?.earlier &&
        equalFractions(other.probability, way.probability),
    );
    if (siblings.length !== question.answers) continue;
    const rest = ways.filter((other) => !siblings.includes(other));
    // The way on which the rule did not match tells the same with less.
    const kept = siblings.at(-1) ?? way;
    return mergeEqual([...rest, { ...kept, assumptions: way.assumptions?.earlier }]);
  }
  return ways;
}

function mergeChances(states: readonly WalkState[]): readonly WalkState[] {
  const merged: WalkState[] = [];
  for (const state of states) {
    const index = merged.findIndex((other) => other.assumptions === state.assumptions);
    const other = merged[index];
    if (other === undefined) merged.push(state);
    else {
      const likelier = compareFractions(state.probability, other.probability) > 0 ? state : other;
      merged[index] = { ...likelier, probability: add(state.probability, other.probability) };
    }
  }
  return merged;
}

/** Equal for two states exactly when nothing that may still happen tells them apart. */
function contentKey({ packet, destinationNat, sourceNat, route }: WalkState): string {
  const nat = [destinationNat, sourceNat].map((note) => note && [note.table, note.chain, note.number]);
  return JSON.stringify([packetKey(packet), nat, route]);
}

function packetKey(packet: PacketView): readonly unknown[] {
  const { connection } = packet;
  const recent: unknown[] = [];
  for (let note = packet.recent; note !== undefined; note = note.earlier)
    recent.push([note.list, note.address, note.action, note.certain]);
  return [
    tupleKey(packet),
    packet.mark,
    packet.priority,
    packet.tos,
    packet.replyZone,
    packet.originalZone,
    packet.ttl,
    packet.isTtlOpen,
    packet.inInterface,
    packet.outInterface,
    packet.bridge,
    connection && [
      connection.state,
      connection.mark,
      connection.labels && [...connection.labels],
      tupleKey(connection.original),
      tupleKey(connection.reply),
    ],
    recent,
    writtenKey(packet),
  ];
}

function tupleKey({ source, destination, sourcePorts, destinationPorts }: Tuple): readonly unknown[] {
  return [source, destination, sourcePorts?.from, sourcePorts?.to, destinationPorts?.from, destinationPorts?.to];
}

function writtenKey({ written }: PacketView): readonly unknown[] {
  const notes: unknown[] = [];
  for (let note = written; note !== undefined; note = note.earlier)
    notes.push([note.set, note.key, note.operation, note.data, note.isCertain]);
  return notes;
}
