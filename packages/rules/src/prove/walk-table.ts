import { unreachable } from "@svcproxy/topology";
import type { Target } from "../rule-set.ts";
import type { Hook } from "../trace/apply-target.ts";
import { askRule, hasConnection } from "./ask-rule.ts";
import type { CompiledChain, CompiledRule } from "./compile-rules.ts";
import { isIndexed } from "./compile-rules.ts";
import { firstMember, hasMember, intersect, onlyMember, singleSet, subtract, unite } from "./index-set.ts";
import type { ProofContext } from "./proof-context.ts";
import type { EndedState, Field, PlacedRule, SymbolicEnding, SymbolicState } from "./symbolic-state.ts";

/** What became of the states that entered a stage. */
export interface SymbolicResult {
  readonly going: SymbolicState[];
  readonly ended: EndedState[];
}

interface TableWalk {
  readonly context: ProofContext;
  readonly chains: ReadonlyMap<string, CompiledChain>;
  readonly hook: Hook;
  readonly accepted: SymbolicState[];
  readonly ended: EndedState[];
}

/** Walks one table at one hook, its policy included. */
export function walkSymbolicTable(
  context: ProofContext,
  entering: SymbolicState,
  { table, hook }: { table: string; hook: Hook },
): SymbolicResult {
  const chains = context.tables.get(table);
  const chain = chains?.get(hook);
  if (chains === undefined || chain === undefined || (chain.rules.length === 0 && chain.policy !== "DROP"))
    return { going: [entering], ended: [] };
  const walk: TableWalk = { context, chains, hook, accepted: [], ended: [] };
  const fell = walkChain(walk, chain, { entering, path: [hook] });
  if (chain.policy !== "DROP") return { going: [...walk.accepted, ...fell], ended: walk.ended };
  const because = `the policy of ${table} ${hook} is DROP`;
  for (const state of fell) walk.ended.push({ state, ending: { kind: "dropped", because } });
  return { going: walk.accepted, ended: walk.ended };
}

interface ChainEntry {
  readonly entering: SymbolicState;
  readonly path: readonly string[];
}

/** @returns the states that come to the chain's end or return from it */
function walkChain(walk: TableWalk, chain: CompiledChain, { entering, path }: ChainEntry): SymbolicState[] {
  const fell: SymbolicState[] = [];
  for (const part of partsByDestination(chain, entering)) {
    const places = placesFor(chain, part);
    const work: { state: SymbolicState; at: number }[] = [{ state: part, at: 0 }];
    for (let job = work.pop(); job !== undefined; job = work.pop()) {
      let { state, at } = job;
      for (; ; at++) {
        const place = places === undefined ? at : places[at];
        const rule = place === undefined ? undefined : chain.rules[place];
        if (rule === undefined) {
          fell.push(state);
          break;
        }
        if (isImmaterial(rule)) continue;
        walk.context.count();
        const { taken, passed } = askRule(state, rule, walk.context.host);
        const next = taken === undefined ? passed : [...take(walk, taken, { rule, path, fell }), ...passed];
        const [first, ...others] = next;
        for (const other of others) work.push({ state: other, at: at + 1 });
        if (first === undefined) break;
        state = first;
      }
    }
  }
  return fell;
}

/** A rule that changes nothing and remembers nothing need not be asked. */
function isImmaterial({ target, conditions }: CompiledRule): boolean {
  switch (target.kind) {
    case "none":
    case "log":
    case "nflog":
    case "tcpmss":
    case "checksum":
    case "trace":
      return !conditions.some(({ kind }) => kind === "recent");
    default:
      return false;
  }
}

/** Splits off each destination for which a large chain has rules of its own, so that each part asks few rules. */
function partsByDestination(chain: CompiledChain, state: SymbolicState): readonly SymbolicState[] {
  const field = state.destination;
  if (!isIndexed(chain) || (field !== "destination" && field !== "source")) return [state];
  const set = state.region[field];
  if (onlyMember(set) !== undefined) return [state];
  const keys = chain.destinations.filter(
    (key) =>
      hasMember(set, key) && (chain.byDestination.get(key) ?? []).some((place) => mayTake(chain.rules[place], state)),
  );
  if (keys.length === 0) return [state];
  // What is left asks for none of these rules, though it may still hold destinations of rules that cannot take it.
  const rest = subtract(set, unite(keys.map(singleSet)));
  const parts = keys.map((key) => ({ ...state, region: { ...state.region, [field]: singleSet(key) } }));
  return rest.length === 0 ? parts : [...parts, { ...state, region: { ...state.region, [field]: rest } }];
}

/** Places of the rules that may take a packet of the state, in order; undefined: all. */
function placesFor(chain: CompiledChain, state: SymbolicState): readonly number[] | undefined {
  if (!isIndexed(chain)) return undefined;
  const destination = onlyValue(state, state.destination);
  const ofDestination = destination === undefined ? [] : (chain.byDestination.get(destination) ?? []);
  if (state.destination === "unknown") return undefined;
  const port = onlyValue(state, state.destinationPort);
  const ofPort = port === undefined ? chain.portPlaces : (chain.byPort.get(port) ?? []);
  return [...ofDestination, ...ofPort, ...chain.others].sort((a, b) => a - b);
}

/** Whether a rule's protocol and port leave anything of a state; what is cheap to ask first. */
function mayTake(rule: CompiledRule | undefined, state: SymbolicState): boolean {
  return (rule?.conditions ?? []).every((condition) => {
    if (condition.kind === "entered" && condition.field === "protocol")
      return intersect(state.region.protocol, condition.set).length > 0;
    if (condition.kind !== "field" || condition.field !== "destinationPort") return true;
    const port = state.destinationPort;
    if (typeof port === "number") return hasMember(condition.set, port);
    return port === "unknown" || intersect(state.region[port], condition.set).length > 0;
  });
}

function onlyValue({ region }: SymbolicState, field: Field): number | undefined {
  if (typeof field === "number") return field;
  return field === "unknown" ? undefined : onlyMember(region[field]);
}

interface Taking {
  readonly rule: CompiledRule;
  readonly path: readonly string[];
  /** Where states go that leave the chain. */
  readonly fell: SymbolicState[];
}

/** Carries a rule's target out. @returns the states that go on to the next rule */
function take(walk: TableWalk, state: SymbolicState, { rule, path, fell }: Taking): readonly SymbolicState[] {
  const { target, placed } = rule;
  const decidedBy = () => ({ ...state, decisions: { placed, earlier: state.decisions } });
  const end = (ending: SymbolicEnding): readonly SymbolicState[] => {
    walk.ended.push({ state: decidedBy(), ending });
    return [];
  };
  const place = `rule ${placed.number} of ${placed.table} ${placed.chain}`;
  switch (target.kind) {
    case "none":
    case "log":
    case "nflog":
    case "tcpmss":
    case "checksum":
    case "trace":
      return [state];
    case "accept":
      walk.accepted.push(decidedBy());
      return [];
    case "return":
      fell.push(decidedBy());
      return [];
    case "drop":
      return end({ kind: "dropped", because: place, placed });
    case "reject":
      return end({ kind: "refused", because: `${place} (${target.with})`, placed });
    case "mark":
      return [{ ...decidedBy(), mark: changedMark(state.mark, target) }];
    case "connmark":
      return (
        connectionMark(state, target) ??
        end({ kind: "undecided", because: "the connection's mark is not known", placed })
      );
    case "ct":
      return [target.notrack && state.conntrack === "unseen" ? { ...decidedBy(), conntrack: "untracked" } : state];
    case "jump":
    case "goto": {
      const chain = walk.chains.get(target.chain);
      if (chain === undefined || path.includes(target.chain)) {
        const why = chain === undefined ? "does not exist" : "leads back to itself";
        return end({ kind: "undecided", because: `the chain ${target.chain} ${why}`, placed });
      }
      const back = walkChain(walk, chain, { entering: state, path: [...path, target.chain] });
      if (target.kind === "jump") return back;
      fell.push(...back);
      return [];
    }
    case "dnat":
    case "snat":
    case "masquerade":
    case "redirect":
      for (const translated of translate(walk, decidedBy(), { target, placed })) {
        if ("ending" in translated) walk.ended.push(translated);
        else walk.accepted.push(translated);
      }
      return [];
    case "tproxy":
      return end({ kind: "undecided", because: "TPROXY hands it to a local socket, if one listens", placed });
    case "unknown":
      return walk.context.isHarmless(target.name)
        ? [state]
        : end({ kind: "undecided", because: `the target ${target.name} is not understood`, placed });
    default:
      return unreachable(target);
  }
}

function changedMark(
  { kept, flipped }: SymbolicState["mark"],
  { value, mask }: { readonly value: number; readonly mask: number },
): SymbolicState["mark"] {
  return { kept: (kept & ~mask) >>> 0, flipped: ((flipped & ~mask) ^ value) >>> 0 };
}

/** Undefined where what is copied is not known. */
function connectionMark(
  state: SymbolicState,
  target: Extract<Target, { kind: "connmark" }>,
): readonly SymbolicState[] | undefined {
  const { connectionMark: mark } = state;
  if (!hasConnection(state)) return [state];
  if (target.action === "set")
    return [{ ...state, connectionMark: mark === undefined ? undefined : changedMark(mark, target) }];
  const { packetMask, connectionMask } = target;
  if (target.action === "save")
    return [
      {
        ...state,
        connectionMark: mark === undefined ? undefined : combine(mark, connectionMask, masked(state.mark, packetMask)),
      },
    ];
  return mark === undefined
    ? undefined
    : [{ ...state, mark: combine(state.mark, packetMask, masked(mark, connectionMask)) }];
}

function masked({ kept, flipped }: SymbolicState["mark"], mask: number): SymbolicState["mark"] {
  return { kept: (kept & mask) >>> 0, flipped: (flipped & mask) >>> 0 };
}

/** `(mark & ~cleared) ^ other`, both as functions of the entered mark. Bits kept by both cancel out. */
function combine(mark: SymbolicState["mark"], cleared: number, other: SymbolicState["mark"]): SymbolicState["mark"] {
  const rest = masked(mark, ~cleared);
  return { kept: (rest.kept ^ other.kept) >>> 0, flipped: (rest.flipped ^ other.flipped) >>> 0 };
}

type NatTarget = Extract<Target, { kind: "dnat" | "snat" | "masquerade" | "redirect" }>;

function translate(
  { context, hook }: TableWalk,
  state: SymbolicState,
  { target, placed }: { target: NatTarget; placed: PlacedRule },
): readonly (SymbolicState | EndedState)[] {
  const fail = (because: string, kind: "undecided" | "dropped" = "undecided"): readonly EndedState[] => [
    { state, ending: { kind, because, placed } },
  ];
  switch (target.kind) {
    case "dnat":
    case "snat": {
      const { addresses, ports } = target.to;
      if (addresses !== undefined && addresses.from !== addresses.to)
        return fail(`which address of ${addresses.from}-${addresses.to} it gets is not known`);
      const address = addresses === undefined ? undefined : context.space.indexOf(addresses.from);
      const drawn = target.to.random || target.to.randomFully;
      const port =
        ports === undefined ? (drawn ? "unknown" : undefined) : ports.from === ports.to ? ports.from : "unknown";
      return [translated(state, { end: target.kind === "dnat" ? "destination" : "source", address, port, placed })];
    }
    case "masquerade": {
      if (state.outInterface === undefined) return fail("MASQUERADE needs an outgoing interface");
      const destination = typeof state.destination === "number" ? state.destination : representative(state);
      const address = context.masqueradeIndex(state.outInterface, state.route, destination);
      if (address === undefined) return fail(`MASQUERADE finds no address on ${state.outInterface}`, "dropped");
      const drawn = target.random || target.randomFully || target.ports !== undefined;
      return [translated(state, { end: "source", address, port: drawn ? "unknown" : undefined, placed })];
    }
    case "redirect": {
      const drawn = target.random || (target.ports !== undefined && target.ports.from !== target.ports.to);
      const port = drawn ? "unknown" : target.ports?.from;
      return redirected(context, state, hook).map(({ part, address }) =>
        address === undefined
          ? { state: part, ending: { kind: "dropped", because: "REDIRECT finds no address", placed } }
          : translated(part, { end: "destination", address, port, placed }),
      );
    }
  }
}

function representative({ destination, region }: SymbolicState): number {
  if (typeof destination === "number") return destination;
  return destination === "unknown" ? 0 : (firstMember(region[destination]) ?? 0);
}

/** REDIRECT goes to an address of the interface by which the packet came. */
function redirected(
  { host, redirectIndex }: ProofContext,
  state: SymbolicState,
  hook: Hook,
): readonly { part: SymbolicState; address: number | undefined }[] {
  const name = hook === "OUTPUT" ? undefined : state.inInterface === "bySource" ? undefined : state.inInterface?.name;
  if (hook === "OUTPUT" || state.inInterface !== "bySource")
    return [{ part: state, address: redirectIndex(hook === "OUTPUT" ? undefined : (name ?? "")) }];
  return [...host.arriving].flatMap(([device, sources]) => {
    const source = intersect(state.region.source, sources);
    if (source.length === 0) return [];
    return [{ part: { ...state, region: { ...state.region, source } }, address: redirectIndex(device) }];
  });
}

function translated(
  state: SymbolicState,
  {
    end,
    address,
    port,
    placed,
  }: {
    end: "source" | "destination";
    address: number | undefined;
    port: number | "unknown" | undefined;
    placed: PlacedRule;
  },
): SymbolicState {
  return end === "destination"
    ? {
        ...state,
        destination: address ?? state.destination,
        destinationPort: port ?? state.destinationPort,
        destinationNat: placed,
      }
    : { ...state, source: address ?? state.source, sourcePort: port ?? state.sourcePort, sourceNat: placed };
}
