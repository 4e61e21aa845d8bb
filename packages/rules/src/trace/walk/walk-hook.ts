import type { HookStage } from "../../hooks/hook-order.ts";
import type { Hook } from "../../rule-set.ts";
import type { ConnectionState, ConnectionView, PacketView, Tuple } from "../packet/packet-view.ts";
import { mergeStates } from "./merge-states.ts";
import type { WalkContext } from "./rule-visit.ts";
import { walkBaseChain } from "./walk-chain.ts";
import {
  type Ended,
  ends,
  goesOn,
  nextStep,
  type Question,
  type WalkResult,
  type WalkState,
  withEvent,
} from "./walk-state.ts";
import { isBehindItsConnection, isSameTuple } from "./written-header.ts";

/** What goes through the hooks: a connection's first packet, or an answer to it. */
export interface Passage {
  readonly context: WalkContext;
  /** What conntrack makes of a packet that it sees for the first time. */
  readonly connection: (packet: PacketView) => ConnectionView;
  /** Sends a locally generated packet another way, where a rule changed what its route hangs on. */
  readonly reroute: (state: WalkState) => WalkResult;
}

/** Takes one way through a hook: all chains in the kernel's order, conntrack and NAT in their places. */
export function walkHook(passage: Passage, entering: WalkState, hook: Hook): WalkResult {
  const entered = withEvent(entering, { kind: "hook", hook, packet: entering.packet });
  return walkStages(passage, entered, { stages: passage.context.stages[hook], hook });
}

interface Staged {
  readonly stages: readonly HookStage[];
  readonly hook: Hook;
  /** Whether a way need not be asked further. */
  readonly isOver?: (way: WalkState) => boolean;
}

function walkStages(passage: Passage, entering: WalkState, { stages, ...at }: Staged): WalkResult {
  let result = goesOn(entering);
  for (const stage of stages)
    result = nextStep(result, (way) =>
      at.isOver?.(way) === true ? goesOn(way) : walkStage(passage, way, { stage, ...at }),
    );
  return result;
}

type AtStage = Omit<Staged, "stages"> & { readonly stage: HookStage };

function walkStage(passage: Passage, state: WalkState, { stage, ...at }: AtStage): WalkResult {
  const { hook } = at;
  switch (stage.kind) {
    case "conntrack":
      return goesOn(track(passage, state));
    case "chain":
      return rerouted(passage, walkBaseChain(passage.context, state, { base: stage.chain, hook }), {
        before: state.packet,
        needsRoute: hook === "OUTPUT" && stage.chain.reroutes ? routeHangsOn : () => false,
      });
    case "nat":
      return rerouted(passage, onLoopback(state, walkNat(passage, state, { stages: stage.stages, hook }), hook), {
        before: state.packet,
        needsRoute: hook === "OUTPUT" ? isNatRerouted : () => false,
      });
    case "orders":
      return inEitherOrder(passage, state, { stage, ...at });
    case "unread": {
      const { table, because } = stage.unread;
      return ends(state, { kind: "undecided", because: `the rules of ${table} were not read: ${because}` });
    }
  }
}

/** Sends a packet of the host's own another way where its route hangs on something that changed. */
function rerouted(
  passage: Passage,
  result: WalkResult,
  { before, needsRoute }: { before: PacketView; needsRoute: (before: PacketView, after: PacketView) => boolean },
): WalkResult {
  return nextStep(result, (way) => (needsRoute(before, way.packet) ? passage.reroute(way) : goesOn(way)));
}

/** Mangle's OUTPUT and chains of type route ask for a new route after any change of these. */
function routeHangsOn(before: PacketView, after: PacketView): boolean {
  if (before.mark !== after.mark || before.source !== after.source || before.destination !== after.destination)
    return true;
  return before.family === 4 ? before.tos !== after.tos : before.ttl !== after.ttl;
}

/** NAT asks for a new route where the connection has another destination now; what a rule of its chains writes is not looked at. */
function isNatRerouted(before: PacketView, { connection, destination }: PacketView): boolean {
  return connection?.direction === "ORIGINAL" && connection.isTemplate !== true
    ? connection.original.destination !== connection.reply.source
    : before.destination !== destination;
}

/** Each order is a way of its own; where they come to the same, the question makes no difference. */
function inEitherOrder(
  passage: Passage,
  state: WalkState,
  { stage, ...at }: Omit<Staged, "stages"> & { readonly stage: Extract<HookStage, { readonly kind: "orders" }> },
): WalkResult {
  const { orders, because } = stage;
  const known = passage.context.orders?.get(because) ?? answerOf(state.assumptions, because);
  const question: Question = {
    position: undefined,
    rule: undefined,
    match: undefined,
    because,
    answers: orders.length,
    orders: orders.map(({ text }) => text),
    packet: state.packet,
    reached: state.probability,
    past: state.past,
  };
  const going: WalkState[] = [];
  const ended: Ended[] = [];
  for (const [answer, { stages }] of orders.entries()) {
    if (known !== undefined && known !== answer) continue;
    const assumptions = known === undefined ? { question, answer, earlier: state.assumptions } : state.assumptions;
    const result = walkStages(passage, { ...state, assumptions }, { stages, ...at });
    for (const way of result.going) going.push(way);
    for (const end of result.ended) ended.push(end);
  }
  return { going: mergeStates(going), ended };
}

/** Chains of one priority stand in one order for all packets. */
function answerOf(assumptions: WalkState["assumptions"], because: string): number | undefined {
  for (let one = assumptions; one !== undefined; one = one.earlier)
    if (one.question.rule === undefined && one.question.because === because) return one.answer;
  return undefined;
}

function track(passage: Passage, state: WalkState): WalkState {
  const { connection } = state.packet;
  if (connection !== undefined && connection.isTemplate !== true) return state;
  return { ...state, packet: { ...state.packet, connection: passage.connection(state.packet) } };
}

/** NAT sees a connection's first packet only, and each end of it once; later packets follow what was set up then. */
function walkNat(passage: Passage, state: WalkState, { stages, hook }: Staged): WalkResult {
  const { connection } = state.packet;
  if (connection === undefined) return goesOn(state);
  const end = hook === "PREROUTING" || hook === "OUTPUT" ? "destination" : "source";
  if (connection.direction === "REPLY") return goesOn(translateBack(state, end));
  if (!isFirst(connection.state) || state.natDone?.includes(end) === true) return mapAgain(state, end);
  const done: WalkState = { ...state, natDone: [...(state.natDone ?? []), end] };
  // The chains of type nat are asked one after the other until one of them sets a translation up.
  const noteOf = (way: WalkState) => (end === "source" ? way.sourceNat : way.destinationNat);
  const before = noteOf(state);
  return walkStages(passage, done, { stages, hook, isOver: (way) => noteOf(way) !== before });
}

/**
 * NAT does to every later packet, and to the first one where the loopback brings it in again, what was set up: an end that a
 * rule wrote in between is mapped once more.
 *
 * @see linux net/netfilter/nf_nat_core.c, nf_nat_packet
 */
function mapAgain(state: WalkState, end: "source" | "destination"): WalkResult {
  const { packet } = state;
  const { connection } = packet;
  if (connection === undefined || !isBehindItsConnection(packet)) return goesOn(state);
  const isTranslated = end === "source" ? connection.sourceTranslated : connection.destinationTranslated;
  if (isTranslated === false) return goesOn(state);
  const { source, destination, sourcePorts, destinationPorts } = connection.reply;
  const mapped: PacketView =
    end === "source"
      ? { ...packet, source: destination, ...(destinationPorts === undefined ? {} : { sourcePorts: destinationPorts }) }
      : { ...packet, destination: source, ...(sourcePorts === undefined ? {} : { destinationPorts: sourcePorts }) };
  if (isSameTuple(mapped, packet)) return goesOn(state);
  if (isTranslated === undefined) {
    const because = `a rule wrote its ${end}, and whether its connection is one whose ${end} NAT maps is not known`;
    return ends(state, { kind: "undecided", because });
  }
  const text = `NAT maps its ${end} again, which a rule wrote in between`;
  return goesOn(withEvent({ ...state, packet: mapped }, { kind: "translatedBack", text, packet: mapped }));
}

/** What comes in again by the loopback has its route, and loses it where NAT gives it another destination: the next one is not followed. */
function onLoopback({ packet, route }: WalkState, result: WalkResult, hook: Hook): WalkResult {
  if (hook !== "PREROUTING" || route === undefined) return result;
  return nextStep(result, (way) => {
    if (way.packet.destination === packet.destination) return goesOn(way);
    const because = `NAT maps its destination to ${way.packet.destination} on the loopback: whether the host takes it then is not known`;
    return ends(way, { kind: "undecided", because });
  });
}

function isFirst(state: ConnectionState): boolean {
  return state === "NEW" || state === "RELATED";
}

/**
 * Undoes, for an answer, what was done to the request: the destination as it comes in, the source as it leaves. What was not translated stays,
 * also where it differs: the host reports by ICMP under an address of its own.
 *
 * @see linux net/netfilter/nf_nat_core.c, nf_nat_packet
 */
function translateBack(state: WalkState, end: "source" | "destination"): WalkState {
  const { packet } = state;
  const { connection } = packet;
  if (connection === undefined) return state;
  const isTranslated = end === "destination" ? connection.sourceTranslated : connection.destinationTranslated;
  if (isTranslated === false) return state;
  const { original } = connection;
  const address = end === "destination" ? original.source : original.destination;
  // What ICMP tells of belongs to a connection that may have ports; it has none itself.
  const isIcmp = packet.protocol === "icmp" || packet.protocol === "ipv6-icmp";
  const ports = isIcmp ? undefined : end === "destination" ? original.sourcePorts : original.destinationPorts;
  const back: PacketView =
    end === "destination"
      ? { ...packet, destination: address, ...(ports === undefined ? {} : { destinationPorts: ports }) }
      : { ...packet, source: address, ...(ports === undefined ? {} : { sourcePorts: ports }) };
  const changed = back.source !== packet.source || back.destination !== packet.destination || portsDiffer(back, packet);
  if (!changed) return state;
  const what =
    end === "destination" ? `its destination is the client again` : `its source is the address dialled again`;
  return withEvent({ ...state, packet: back }, { kind: "translatedBack", text: what, packet: back });
}

function portsDiffer(a: Tuple, b: Tuple): boolean {
  return a.sourcePorts?.from !== b.sourcePorts?.from || a.destinationPorts?.from !== b.destinationPorts?.from;
}
