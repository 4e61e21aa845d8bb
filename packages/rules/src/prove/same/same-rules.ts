import type { HostState } from "../../host/host-state.ts";
import type { RuleSet } from "../../rule-set.ts";
import { ALL_PORTS, ALL_PROTOCOLS, ALL_STATES } from "../compile/condition.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import { proofContexts } from "../compile/proof-context.ts";
import { ExamplePackets } from "../report/example-packet.ts";
import type { ProofPacket } from "../report/proof.ts";
import { unite } from "../space/index-set.ts";
import { ANY_MARK, cutMarks } from "../space/mark-set.ts";
import type { Region } from "../space/region.ts";
import { alikeGroups } from "../walk/alike-groups.ts";
import type { EndedState, SymbolicState } from "../walk/symbolic-state.ts";
import { enteringState, walkHost } from "../walk/walk-host.ts";
import { outcomeKey } from "./outcome-key.ts";

export interface SameRulesOptions {
  readonly a: RuleSet;
  readonly b: RuleSet;
  readonly hostState: HostState;
}

/** Whether two rule sets treat all packets alike, or a packet that they treat differently. */
export type Sameness =
  | { readonly kind: "same"; readonly cases: number }
  | { readonly kind: "different"; readonly packet: ProofPacket; readonly a: string; readonly b: string }
  /** They may be the same: that hangs on what nobody knows, in the words of these matches. */
  | { readonly kind: "undecided"; readonly packet: ProofPacket; readonly because: string };

const SIDES = ["a", "b"] as const;
type Side = (typeof SIDES)[number];

interface SidedEnd extends EndedState {
  readonly side: Side;
}

/**
 * Decides whether two rule sets of one family treat all packets alike: where they go, as what, with which mark and with
 * which probability; how a rule is spelt and in which chain it stands makes no difference.
 *
 * @throws InputError PROOF_TOO_LARGE where the rules tell too many kinds of packets apart
 */
export function sameRules({ a, b, hostState }: SameRulesOptions): Sameness {
  const [inA, inB] = proofContexts([
    { rules: a, hostState, tellsDeeds: true },
    { rules: b, hostState, tellsDeeds: true },
  ]);
  if (inA === undefined || inB === undefined) throw new TypeError("no context");
  let cases = 0;
  let undecided: Sameness | undefined;
  for (const from of ["host", "network"] as const) {
    const region: Region = {
      source: from === "host" ? inA.host.local : unite(inA.host.arriving.values()),
      destination: inA.space.everything,
      sourcePort: ALL_PORTS,
      destinationPort: ALL_PORTS,
      protocol: ALL_PROTOCOLS,
      state: ALL_STATES,
      mark: ANY_MARK,
    };
    if (region.source.length === 0) continue;
    const contexts = { a: inA, b: inB };
    const ends = SIDES.flatMap((side) =>
      walkHost(contexts[side], enteringState(region, from)).map((end): SidedEnd => ({ ...end, side })),
    );
    for (const group of alikeGroups(ends)) {
      for (const { region: part, items } of byMark(group.region, group.items)) {
        cases++;
        const found = compareGroup({ region: part, items }, contexts);
        if (found?.kind === "different") return found;
        undecided ??= found;
      }
    }
  }
  return undecided ?? { kind: "same", cases };
}

/** Cuts a group further by the marks with which its packets came. */
function byMark(region: Region, items: readonly SidedEnd[]): readonly { region: Region; items: readonly SidedEnd[] }[] {
  const [first] = items;
  if (first === undefined) return [];
  const pivot = first.state.region.mark;
  if (items.every(({ state }) => state.region.mark === pivot)) return [{ region: { ...region, mark: pivot }, items }];
  const inside: SidedEnd[] = [];
  const outside: SidedEnd[] = [];
  for (const item of items) {
    const cutting = cutMarks(item.state.region.mark, pivot);
    if (cutting.inside !== undefined) inside.push(withMark(item, pivot));
    for (const mark of cutting.outside) outside.push(withMark(item, mark));
  }
  return [{ region: { ...region, mark: pivot }, items: inside }, ...byMark(region, outside)];
}

function withMark(end: SidedEnd, mark: Region["mark"]): SidedEnd {
  return { ...end, state: { ...end.state, region: { ...end.state.region, mark } } };
}

/** By what is assumed: the outcomes with their probabilities. */
type Worlds = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** A probability is the same where it differs by less than the kernel's 31 bits can tell. */
const TOLERANCE = 2 ** -32;

function compareGroup(
  { region, items }: { region: Region; items: readonly SidedEnd[] },
  contexts: Readonly<Record<Side, ProofContext>>,
): Sameness | undefined {
  const a = worldsOf(
    items.filter(({ side }) => side === "a"),
    contexts.a,
  );
  const b = worldsOf(
    items.filter(({ side }) => side === "b"),
    contexts.b,
  );
  if (sameWorlds(a, b)) return undefined;
  const packet = new ExamplePackets(contexts.a).of(region);
  const [inA] = a.values();
  const [inB] = b.values();
  if (a.size === 1 && b.size === 1) return { kind: "different", packet, a: describe(inA), b: describe(inB) };
  for (const [world, outcomes] of a) {
    const others = b.get(world);
    if (others !== undefined && !sameOutcomes(outcomes, others))
      return { kind: "different", packet, a: describe(outcomes), b: describe(others) };
  }
  const question = items.map(({ state }) => state.assumptions?.question.text).find((text) => text !== undefined);
  return { kind: "undecided", packet, because: question ?? "what is not understood" };
}

function worldsOf(ends: readonly SidedEnd[], context: ProofContext): Worlds {
  const worlds = new Map<string, Map<string, number>>();
  for (const end of ends) {
    const world = worldKey(end.state);
    const outcomes = worlds.get(world) ?? new Map<string, number>();
    worlds.set(world, outcomes);
    const key = outcomeKey(end, context);
    outcomes.set(key, (outcomes.get(key) ?? 0) + end.state.probability);
  }
  // Where every answer leads to the same, the question makes no difference.
  const [first, ...others] = worlds.values();
  if (first !== undefined && others.every((other) => sameOutcomes(first, other))) return new Map([["", first]]);
  return worlds;
}

function worldKey(state: SymbolicState): string {
  const answers: string[] = [];
  for (let one = state.assumptions; one !== undefined; one = one.earlier)
    answers.push(`${one.holds} ${one.question.key}`);
  return answers.sort().join("\n");
}

function sameWorlds(a: Worlds, b: Worlds): boolean {
  if (a.size !== b.size) return false;
  for (const [world, outcomes] of a) {
    const others = b.get(world);
    if (others === undefined || !sameOutcomes(outcomes, others)) return false;
  }
  return true;
}

function sameOutcomes(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  const keys = new Set([...a.keys(), ...b.keys()]);
  for (const key of keys) if (Math.abs((a.get(key) ?? 0) - (b.get(key) ?? 0)) > TOLERANCE) return false;
  return true;
}

function describe(outcomes: ReadonlyMap<string, number> | undefined): string {
  const parts = [...(outcomes ?? [])].map(([key, share]) =>
    share > 1 - TOLERANCE ? key : `${key} (share ${share.toFixed(9)})`,
  );
  return parts.length === 0 ? "nothing happens" : parts.join("; ");
}
