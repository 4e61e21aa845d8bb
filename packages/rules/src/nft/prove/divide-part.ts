import { familyOf, parseIpAddress } from "@svcproxy/topology";
import {
  type IndexSet,
  intersect,
  isEmpty,
  onlyMember,
  singleSet,
  subtract,
  unite,
} from "../../prove/space/index-set.ts";
import { marksWithin, marksWithout } from "../../prove/space/mark-set.ts";
import type { AddressedField, RegionField } from "../../prove/space/region.ts";
import { enteredField, hasConnection } from "../../prove/walk/ask-rule.ts";
import type { MarkNow, SymbolicState } from "../../prove/walk/symbolic-state.ts";
import { protocolNumber } from "../../text/protocol-names.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import type { Datum } from "../nft-rule-set.ts";
import type { AskedNft } from "./asked-nft.ts";
import { byQuestions, type Divided } from "./by-questions.ts";
import { chanceWithin } from "./chance-of-match.ts";
import { changedBits, changedNumber, type PartReading } from "./compiled-nft.ts";
import { openOf } from "./condition-parts.ts";
import { groupOf, groupOfName, groupSets, type LookupNode } from "./lookup-tree.ts";
import { fibSet, stateBit } from "./read-ct-conditions.ts";

interface Dividing {
  readonly part: PartReading;
  readonly node: LookupNode;
}

/** Divides a state by what one part of a key leads to. The parts are disjoint, and together they are the state. */
export function dividePart(asked: AskedNft, state: SymbolicState, { part, node }: Dividing): readonly Divided[] {
  const all = (group: number | undefined): readonly Divided[] => [{ state, group: group ?? "none" }];
  const unknown = (text: string) => byQuestions(asked, state, { open: openOf(text), node });
  switch (part.kind) {
    case "field":
      return part.isTh
        ? dividePorts(asked, state, { field: part.field, node })
        : divideField(asked, state, { field: part.field, node });
    case "entered":
      return divideEntered(state, part.field, node);
    case "connection":
      return state.isErrorAbout === true
        ? byQuestions(asked, state, { open: part.open, node })
        : divideRegion(state, enteredField(state, part.field), node);
    case "mark":
      return divideMark(asked, state, { now: changedBits(state.mark, part.operations), node });
    case "connectionMark": {
      const { connectionMark } = state;
      if (!hasConnection(state)) return all(undefined);
      if (connectionMark === undefined) return unknown("ct mark");
      return divideMark(asked, state, { now: changedBits(connectionMark, part.operations), node });
    }
    case "priority":
      if (state.priority === "unknown") return unknown("meta priority");
      return all(groupOf(node, changedNumber(state.priority, part.operations)));
    case "inInterface":
      return divideInterface(state, node);
    case "outInterface":
      return all(groupOfName(node, state.outInterface ?? ""));
    case "fibType":
      return divideType(asked, state, { field: part.field, node });
    case "draw":
      return divideDraw(state, part, node);
    case "datum":
      return all(groupOfDatum(asked, part.datum, node));
    case "hashedSource":
      return unknown("a hash of the source address");
    case "range":
      return [{ state, group: "unknown" }];
    case "unknown":
      return byQuestions(asked, state, { open: part.open, node });
  }
}

interface OfField {
  readonly field: AddressedField;
  readonly node: LookupNode;
}

function divideField(asked: AskedNft, state: SymbolicState, { field, node }: OfField): readonly Divided[] {
  const now = state[field];
  if (typeof now === "number") return [{ state, group: groupOf(node, now) ?? "none" }];
  if (now === "unknown") return byQuestions(asked, state, { open: openOf(`the ${field} after NAT`), node });
  return divideRegion(state, now, node);
}

function divideRegion(state: SymbolicState, field: RegionField, node: LookupNode): readonly Divided[] {
  const set = state.region[field];
  const only = onlyMember(set);
  if (only !== undefined) return [{ state, group: groupOf(node, only) ?? "none" }];
  const found: Divided[] = [];
  for (const [group, members] of groupSets(node, set)) found.push({ state: withSet(state, field, members), group });
  const rest = subtract(set, node.all);
  if (!isEmpty(rest)) found.push({ state: withSet(state, field, rest), group: "none" });
  return found;
}

function withSet(state: SymbolicState, field: RegionField, set: IndexSet): SymbolicState {
  return { ...state, region: { ...state.region, [field]: set } };
}

const WITH_PORTS = unite(
  ["tcp", "udp", "udplite", "sctp", "dccp"].flatMap((name) => {
    const number = protocolNumber(name);
    return number === undefined ? [] : [singleSet(number)];
  }),
);

/** `th dport` is a port for protocols that have some; of others it is what stands at that place. */
function dividePorts(asked: AskedNft, state: SymbolicState, { field, node }: OfField): readonly Divided[] {
  const { protocol } = state.region;
  const others = state.refusal === undefined ? subtract(protocol, WITH_PORTS) : protocol;
  if (isEmpty(others)) return divideField(asked, state, { field, node });
  const open = openOf(
    `what other protocols have where the ${field === "sourcePort" ? "source" : "destination"} port would be`,
  );
  const unsure = byQuestions(asked, withSet(state, "protocol", others), { open, node });
  const ports = intersect(protocol, WITH_PORTS);
  if (state.refusal !== undefined || isEmpty(ports)) return unsure;
  return [...divideField(asked, withSet(state, "protocol", ports), { field, node }), ...unsure];
}

const COUNTS_AS = { unseen: "INVALID", template: "NEW", untracked: "UNTRACKED" } as const;

function divideEntered(state: SymbolicState, field: "protocol" | "state", node: LookupNode): readonly Divided[] {
  if (field === "state") return divideConnectionState(state, node);
  if (field === "protocol" && state.refusal !== undefined)
    return [{ state, group: groupOf(node, state.refusal.protocol) ?? "none" }];
  return divideRegion(state, field, node);
}

function divideConnectionState(state: SymbolicState, node: LookupNode): readonly Divided[] {
  if (state.conntrack !== "tracked")
    return [{ state, group: groupOf(node, stateBit(COUNTS_AS[state.conntrack])) ?? "none" }];
  const parts = new Map<number | "none", IndexSet[]>();
  for (const [place, name] of CONNECTION_STATES.entries()) {
    const set = intersect(state.region.state, singleSet(place));
    if (isEmpty(set)) continue;
    const group = groupOf(node, stateBit(name)) ?? "none";
    parts.set(group, [...(parts.get(group) ?? []), set]);
  }
  return [...parts].map(([group, sets]) => ({ state: withSet(state, "state", unite(sets)), group }));
}

/** So many marks of a set are told apart one by one. */
const MOST_MARKS = 64;

function divideMark(
  asked: AskedNft,
  state: SymbolicState,
  { now: { kept, flipped }, node }: { readonly now: MarkNow; readonly node: LookupNode },
): readonly Divided[] {
  if (kept === 0) return [{ state, group: groupOf(node, flipped) ?? "none" }];
  const { ranges } = node;
  const isFew =
    ranges.length / 3 <= MOST_MARKS && ranges.every((end, at) => at % 3 !== 1 || end === (ranges[at - 1] ?? 0) + 1);
  if (!isFew) return byQuestions(asked, state, { open: openOf("the mark with which it came"), node });
  const found: Divided[] = [];
  let rest = state.region.mark;
  for (let at = 0; at < ranges.length; at += 3) {
    const wanted = ((ranges[at] ?? 0) ^ flipped) >>> 0;
    if ((wanted & ~kept) !== 0) continue;
    const cube = { care: kept, value: (wanted & kept) >>> 0 };
    const within = marksWithin(rest, cube);
    if (within !== undefined)
      found.push({ state: { ...state, region: { ...state.region, mark: within } }, group: ranges[at + 2] ?? "none" });
    const without = marksWithout(rest, cube);
    if (without === undefined) return found;
    rest = without;
  }
  return [...found, { state: { ...state, region: { ...state.region, mark: rest } }, group: "none" }];
}

function divideInterface(state: SymbolicState, node: LookupNode): readonly Divided[] {
  const { inInterface, region } = state;
  if (inInterface?.kind !== "bySource") return [{ state, group: groupOfName(node, inInterface?.name ?? "") ?? "none" }];
  const found = new Map<number, IndexSet[]>();
  for (const [device, sources] of inInterface.arriving) {
    const group = groupOfName(node, device);
    if (group !== undefined) found.set(group, [...(found.get(group) ?? []), sources]);
  }
  return bySets(state, { field: "source", sets: found, set: region.source });
}

/** Divides one field of the region by disjoint sets; what is in none of them leads nowhere. */
function bySets(
  state: SymbolicState,
  { field, sets, set }: { field: RegionField; sets: ReadonlyMap<number, readonly IndexSet[]>; set: IndexSet },
): readonly Divided[] {
  const parts: Divided[] = [];
  let rest = set;
  for (const [group, members] of sets) {
    const taken = intersect(rest, unite(members));
    if (isEmpty(taken)) continue;
    parts.push({ state: withSet(state, field, taken), group });
    rest = subtract(rest, taken);
  }
  return isEmpty(rest) ? parts : [...parts, { state: withSet(state, field, rest), group: "none" }];
}

function divideType(
  asked: AskedNft,
  state: SymbolicState,
  { field, node }: { readonly field: "source" | "destination"; readonly node: LookupNode },
): readonly Divided[] {
  const { space, host } = asked.context;
  const now = state[field];
  if (now === "unknown" || (space.family === 6 && [...node.names.keys()].some((name) => !KNOWN_TYPES6.includes(name))))
    return byQuestions(asked, state, { open: openOf(`fib ${field === "source" ? "saddr" : "daddr"} type`), node });
  const sets = new Map<number, IndexSet[]>();
  for (const [name, group] of node.names) {
    const set = fibSet(name, { host });
    sets.set(group, [...(sets.get(group) ?? []), set]);
  }
  if (typeof now !== "number") return bySets(state, { field: now, sets, set: state.region[now] });
  const [group] = [...sets].find(([, members]) => !isEmpty(intersect(singleSet(now), unite(members)))) ?? [
    "none" as const,
  ];
  return [{ state, group }];
}

const KNOWN_TYPES6: readonly string[] = ["local", "multicast"];

function divideDraw(
  state: SymbolicState,
  draw: Extract<PartReading, { kind: "draw" }>,
  { ranges }: LookupNode,
): readonly Divided[] {
  const chances = new Map<number, number>();
  let rest = 1;
  for (let at = 0; at < ranges.length; at += 3) {
    const chance = chanceWithin(ranges[at] ?? 0, ranges[at + 1] ?? 0, draw);
    const group = ranges[at + 2] ?? 0;
    if (chance > 0) chances.set(group, (chances.get(group) ?? 0) + chance);
    rest -= chance;
  }
  const drawn = (chance: number) => (chance === 1 ? state : { ...state, probability: state.probability * chance });
  const found: Divided[] = [...chances].map(([group, chance]) => ({ state: drawn(chance), group }));
  return rest > 0 ? [...found, { state: drawn(rest), group: "none" }] : found;
}

function groupOfDatum({ context }: AskedNft, datum: Datum, node: LookupNode): number | undefined {
  if (node.domain === "text") return groupOfName(node, String(datum));
  if (node.domain === "number") return typeof datum === "number" ? groupOf(node, datum) : undefined;
  const address = typeof datum === "string" ? parseIpAddress(datum) : undefined;
  if (address === undefined || familyOf(address) !== context.space.family) return undefined;
  return groupOf(node, context.space.indexOf(address));
}
