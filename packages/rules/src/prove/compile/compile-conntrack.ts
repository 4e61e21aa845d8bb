import type { Match } from "../../match.ts";
import { protocolNumber } from "../../text/protocol-names.ts";
import { type IndexSet, singleSet, subtract } from "../space/index-set.ts";
import type { AddressedField } from "../space/region.ts";
import {
  ALL_PORTS,
  ALL_PROTOCOLS,
  ALL_STATES,
  type CompileContext,
  type Condition,
  entered,
  openQuestion,
  portSet,
  stateSet,
} from "./condition.ts";

/** States in which a packet has a connection. */
const CONNECTED = stateSet(["NEW", "ESTABLISHED", "RELATED"]);

/** `-m conntrack`. */
export function compileConntrack(
  match: Extract<Match, { kind: "conntrack" }>,
  { space }: Pick<CompileContext, "space">,
  unknown: () => readonly Condition[],
): readonly Condition[] {
  const { states, originalSource, originalDestination, originalSourcePorts, originalDestinationPorts } = match;
  const conditions: Condition[] = [];
  if (states !== undefined) {
    const set = stateSet(states.states);
    const ends = (["SNAT", "DNAT"] as const).filter((name) => states.states.includes(name));
    if (ends.length === 0) conditions.push(entered("state", set, states.negated, ALL_STATES));
    else {
      const translated = ends.map((name) => (name === "SNAT" ? "source" : "destination") as "source" | "destination");
      conditions.push({ kind: "translated", ends: translated, states: set, negated: states.negated });
    }
  }
  const other = { ...match, states: undefined, kind: undefined };
  if (Object.values(other).every((part) => part === undefined)) return conditions;
  conditions.push(entered("state", CONNECTED, false, ALL_STATES));
  const open = openQuestion(match, space.family);
  const about = (field: AddressedField | "protocol", set: IndexSet, negated: boolean, all: IndexSet): Condition => {
    return { kind: "connection", field, set: negated ? subtract(all, set) : set, open };
  };
  for (const [field, end] of [
    ["source", originalSource],
    ["destination", originalDestination],
  ] as const) {
    if (end !== undefined) conditions.push(about(field, space.setOf(end.cidr), end.negated, space.everything));
  }
  for (const [field, range] of [
    ["sourcePort", originalSourcePorts],
    ["destinationPort", originalDestinationPorts],
  ] as const) {
    if (range !== undefined) conditions.push(about(field, portSet(range), range.negated, ALL_PORTS));
  }
  if (match.direction !== undefined) conditions.push({ kind: "direction", direction: match.direction, open });
  if (match.protocol !== undefined) {
    const number = protocolNumber(match.protocol.protocol);
    if (number === undefined) return [...conditions, ...unknown()];
    conditions.push(about("protocol", singleSet(number), match.protocol.negated, ALL_PROTOCOLS));
  }
  const { replySource, replyDestination, replySourcePorts, replyDestinationPorts, status, expire } = match;
  const rest = [replySource, replyDestination, replySourcePorts, replyDestinationPorts, status, expire];
  return rest.some((part) => part !== undefined) ? [...conditions, ...unknown()] : conditions;
}
