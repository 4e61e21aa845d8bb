import type { HostPlan } from "@svcproxy/topology";
import { type HostRules, hostRulesOf } from "../../hooks/host-rules.ts";
import type { HostState } from "../../host/host-state.ts";
import type { RuleSet } from "../../rule-set.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { ALL_PORTS, ALL_PROTOCOLS, ALL_STATES } from "../compile/condition.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import { proofContexts } from "../compile/proof-context.ts";
import { ExamplePackets } from "../report/example-packet.ts";
import type { ProofPacket } from "../report/proof.ts";
import type { AddressSpace } from "../space/address-space.ts";
import { rangeSet, singleSet, unite } from "../space/index-set.ts";
import { ANY_MARK, cutMarks, markKey } from "../space/mark-set.ts";
import type { Region } from "../space/region.ts";
import { alikeGroups } from "../walk/alike-groups.ts";
import type { EndedState, SymbolicState } from "../walk/symbolic-state.ts";
import { enteringState, walkHost } from "../walk/walk-host.ts";
import { withHiddenApart } from "./hidden-settings.ts";
import { outcomeKey } from "./outcome-key.ts";
import { withoutSharedDeviceChains } from "./shared-device-chains.ts";
import { keepsLists, SharedLists } from "./shared-lists.ts";
import { kindsOfTwins } from "./twin-ends.ts";

export interface SameRulesOptions {
  readonly a: RuleSet | HostRules;
  readonly b: RuleSet | HostRules;
  readonly hostState: HostState;
  /** Whose hosts and pods people know, where packets are shown. */
  readonly plan?: HostPlan;
}

/** Whether two rule sets treat all packets alike, or a packet that they treat differently. */
export type Sameness =
  /** `cases`: how many kinds of packets were looked at; `all` where the rules are the same to the letter. */
  | { readonly kind: "same"; readonly cases: number | "all" }
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
export function sameRules(options: SameRulesOptions): Sameness {
  let undecided: Sameness | undefined;
  const walked = compareRules({ ...options, b: withHiddenApart(hostRulesOf(options.b)) });
  for (;;) {
    const { done, value } = walked.next();
    if (done === true) return undecided ?? { kind: "same", cases: value };
    const { packet, result } = value;
    if (result.kind === "different")
      return { kind: "different", packet, a: describe(result.a.outcomes), b: describe(result.b.outcomes) };
    undecided ??= { kind: "undecided", packet, because: result.because };
  }
}

/** Packets that two rule sets do not treat alike, or perhaps not. */
export interface RuleDifference {
  readonly region: Region;
  readonly space: AddressSpace;
  /** One of them. */
  readonly packet: ProofPacket;
  readonly result:
    | { readonly kind: "different"; readonly a: ComparedSide; readonly b: ComparedSide }
    | { readonly kind: "undecided"; readonly because: string };
}

export interface ComparedSide {
  readonly context: ProofContext;
  readonly ends: readonly EndedState[];
  /** What becomes of them, with its share. */
  readonly outcomes: ReadonlyMap<string, number>;
}

/**
 * Goes through all packets, and yields those that two rule sets treat differently, or perhaps so.
 *
 * @returns how many kinds of packets were looked at; `all` where the rules are the same to the letter
 * @throws InputError PROOF_TOO_LARGE where the rules tell too many kinds of packets apart
 */
export function* compareRules({
  hostState,
  plan,
  ...sides
}: SameRulesOptions): Generator<RuleDifference, number | "all"> {
  const [a, b] = withoutSharedDeviceChains(hostRulesOf(sides.a), hostRulesOf(sides.b));
  if (areEqual(a, b)) return "all";
  const [inA, inB] = proofContexts([
    { rules: a, hostState, tellsDeeds: true },
    { rules: b, hostState, tellsDeeds: true },
  ]);
  if (inA === undefined || inB === undefined) throw new TypeError("no context");
  const contexts = { a: inA, b: inB };
  const examples = new ExamplePackets(inA, plan);
  const lists = [a, b].some(keepsLists) ? new SharedLists() : undefined;
  if (lists !== undefined)
    for (const entering of everyEntry(inA))
      for (const side of SIDES) lists.learn(side, walkHost(contexts[side], entering));
  let cases = 0;
  for (const entering of everyEntry(inA)) {
    const ends = SIDES.flatMap((side) => {
      const own = walkHost(contexts[side], entering);
      return (lists?.rename(side, own) ?? own).map((end): SidedEnd => ({ ...end, side }));
    });
    const isSettled = (items: readonly SidedEnd[]) => {
      const of = (side: Side) => items.filter((item) => item.side === side);
      const kinds = kindsOfTwins(of("a"), of("b"));
      cases += kinds ?? 0;
      return kinds !== undefined;
    };
    for (const group of alikeGroups(ends, isSettled)) {
      if (areEqualSides(group.items, contexts)) {
        cases++;
        continue;
      }
      for (const items of byMark(group.items)) {
        cases++;
        const mark = items[0]?.state.region.mark ?? ANY_MARK;
        const found = compareGroup({ region: { ...group.region, mark }, items }, { contexts, examples });
        if (found !== undefined) yield found;
      }
    }
  }
  return cases;
}

/**
 * The same to the letter: in which order tables and chains stand, and what counters say, makes no difference. What was not
 * read may be otherwise in each.
 */
function areEqual(a: HostRules, b: HostRules): boolean {
  if (a.family !== b.family || a.unread.length + b.unread.length > 0) return false;
  return areEqualTexts(chainTexts(a), chainTexts(b)) && areEqualTexts(tableTexts(a), tableTexts(b));
}

/** Texts by what they are of, each made when it is asked for: that two of thousands of chains differ is found at once. */
type Texts = ReadonlyMap<string, () => string>;

function areEqualTexts(a: Texts, b: Texts): boolean {
  return a.size === b.size && [...a].every(([name, textOf]) => textOf() === b.get(name)?.());
}

function chainTexts({ iptables }: HostRules): Texts {
  return new Map(
    iptables.flatMap(({ variant, rules }) =>
      rules.tables.flatMap((table) =>
        table.chains.map((chain): readonly [string, () => string] => [
          `${variant ?? ""} ${table.name} ${chain.name}`,
          () => JSON.stringify([chain.policy, chain.rules.map(({ matches, target }) => [matches, target])]),
        ]),
      ),
    ),
  );
}

function tableTexts({ nft }: HostRules): Texts {
  return new Map(
    nft.tables.map(({ family, name, isDormant, chains, sets }) => [
      `${family} ${name}`,
      () =>
        JSON.stringify([
          isDormant,
          chains.map((chain) => [chain.name, chain.base, chain.rules.map(({ text }) => text)]),
          [...sets.values()],
        ]),
    ]),
  );
}

/** So many pieces of destinations are walked at once: what becomes of thousands of services need not be there together. */
const DESTINATIONS_AT_ONCE = 256;

/** Everything that the host sends or gets: of new connections and older ones, and answers in connections that began before. */
function* everyEntry({ space, host }: ProofContext): Generator<SymbolicState> {
  for (const from of ["host", "network"] as const) {
    const source = from === "host" ? host.local : unite(host.arriving.values());
    if (source.length === 0) continue;
    for (let first = 0; first < space.size; first += DESTINATIONS_AT_ONCE) {
      const region: Region = {
        source,
        destination: rangeSet(first, Math.min(space.size, first + DESTINATIONS_AT_ONCE)),
        sourcePort: ALL_PORTS,
        destinationPort: ALL_PORTS,
        protocol: ALL_PROTOCOLS,
        state: ALL_STATES,
        mark: ANY_MARK,
      };
      yield enteringState(region, from);
      yield {
        ...enteringState({ ...region, state: ANSWERS }, from),
        direction: "REPLY",
        connectionMark: undefined,
        // Their connections are not mapped, or are mapped alike by both: NAT follows what was set up before.
        follows: { source: "source", destination: "destination" },
        awaitedIn: 0,
        entersSwapped: true,
      };
    }
  }
}

/** States of packets that go against the direction in which their connection began. */
const ANSWERS = unite(
  (["ESTABLISHED", "RELATED"] as const).map((state) => singleSet(CONNECTION_STATES.indexOf(state))),
);

/** Whether both sides end alike, part by part as they were divided: of thousands of groups most do, and this is soon seen. */
function areEqualSides(items: readonly SidedEnd[], contexts: Readonly<Record<Side, ProofContext>>): boolean {
  const shares = new Map<string, number>();
  for (const item of items) {
    const { side, state, ending } = item;
    if (state.assumptions !== undefined || ending.kind === "undecided") return false;
    const key = `${markKey(state.region.mark)} ${outcomeKey(item, contexts[side])}`;
    shares.set(key, (shares.get(key) ?? 0) + (side === "a" ? state.probability : -state.probability));
  }
  return [...shares.values()].every((share) => Math.abs(share) <= TOLERANCE);
}

/** Cuts items further by the marks with which their packets came: within a part, all items have all of its marks. */
function byMark(items: readonly SidedEnd[]): readonly (readonly SidedEnd[])[] {
  const parts: (readonly SidedEnd[])[] = [];
  const [first] = items;
  if (items.every(({ state }) => state.region.mark === first?.state.region.mark)) return [items];
  for (let rest = items; rest.length > 0; ) {
    const cell = rest.reduce(
      (marks, { state }) => cutMarks(marks, state.region.mark).inside ?? marks,
      rest[0]?.state.region.mark ?? ANY_MARK,
    );
    const inside: SidedEnd[] = [];
    const outside: SidedEnd[] = [];
    for (const item of rest) {
      const cutting = cutMarks(item.state.region.mark, cell);
      if (cutting.inside !== undefined) inside.push(withMark(item, cell));
      for (const mark of cutting.outside) outside.push(withMark(item, mark));
    }
    parts.push(inside);
    rest = outside;
  }
  return parts;
}

function withMark(end: SidedEnd, mark: Region["mark"]): SidedEnd {
  if (mark === end.state.region.mark) return end;
  return { ...end, state: { ...end.state, region: { ...end.state.region, mark } } };
}

/** A probability is the same where it differs by less than the kernel's 31 bits can tell. */
const TOLERANCE = 2 ** -32;

function compareGroup(
  { region, items }: { region: Region; items: readonly SidedEnd[] },
  {
    contexts,
    examples,
  }: { readonly contexts: Readonly<Record<Side, ProofContext>>; readonly examples: ExamplePackets },
): RuleDifference | undefined {
  const [a, b] = SIDES.map((side) =>
    worldsOf(
      items.filter((item) => item.side === side),
      contexts[side],
    ),
  );
  if (a === undefined || b === undefined) return undefined;
  const pairs = a.flatMap((one) => b.flatMap((other) => (areCompatible(one, other) ? [{ one, other }] : [])));
  const unlike = pairs.filter(({ one, other }) => !sameOutcomes(one.outcomes, other.outcomes));
  const open = items.find(({ ending }) => ending.kind === "undecided");
  if (unlike.length === 0 && open === undefined) return undefined;
  const packet = examples.of(region);
  // Whatever the answers to what nobody knows are, some pair of worlds is the true one.
  const [shown] = unlike.length === pairs.length ? unlike : unlike.filter(({ one, other }) => one.key === other.key);
  if (shown !== undefined && open === undefined) {
    const { one, other } = shown;
    return {
      ...{ region, packet, space: contexts.a.space },
      result: { kind: "different", a: { context: contexts.a, ...one }, b: { context: contexts.b, ...other } },
    };
  }
  const question = items.map(({ state }) => state.assumptions?.question.text).find((text) => text !== undefined);
  const because = open !== undefined && "because" in open.ending ? open.ending.because : question;
  return {
    ...{ region, packet, space: contexts.a.space },
    result: { kind: "undecided", because: because ?? "what is not understood" },
  };
}

/** What follows from one set of answers to what nobody knows. */
interface World {
  readonly answers: ReadonlyMap<string, boolean>;
  readonly key: string;
  readonly outcomes: Map<string, number>;
  readonly ends: EndedState[];
}

/** Whether two worlds give no question different answers. */
function areCompatible(a: World, b: World): boolean {
  for (const [question, answer] of a.answers) if ((b.answers.get(question) ?? answer) !== answer) return false;
  return true;
}

function worldsOf(ends: readonly SidedEnd[], context: ProofContext): readonly World[] {
  const worlds = new Map<string, World>();
  for (const end of ends) {
    const answers = answersOf(end.state);
    const key = [...answers]
      .map(([question, holds]) => `${holds} ${question}`)
      .sort()
      .join("\n");
    const world = worlds.get(key) ?? { answers, key, outcomes: new Map<string, number>(), ends: [] };
    worlds.set(key, world);
    world.ends.push(end);
    const outcome = outcomeKey(end, context);
    world.outcomes.set(outcome, (world.outcomes.get(outcome) ?? 0) + end.state.probability);
  }
  return withoutIdleQuestions([...worlds.values()]);
}

/** Where every answer leads to the same, the question makes no difference. */
function withoutIdleQuestions(worlds: readonly World[]): readonly World[] {
  const [first, ...others] = worlds;
  if (first === undefined || !others.every(({ outcomes }) => sameOutcomes(first.outcomes, outcomes))) return worlds;
  return [{ ...first, answers: new Map(), key: "" }];
}

function answersOf({ assumptions }: SymbolicState): ReadonlyMap<string, boolean> {
  const answers = new Map<string, boolean>();
  for (let one = assumptions; one !== undefined; one = one.earlier) answers.set(one.question.key, one.holds);
  return answers;
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
