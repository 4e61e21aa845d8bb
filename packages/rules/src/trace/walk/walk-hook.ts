import type { Hook } from "../../rule-set.ts";
import type { ConnectionState, ConnectionView, PacketView, Tuple } from "../packet/packet-view.ts";
import type { WalkContext } from "./rule-visit.ts";
import { walkTable } from "./walk-chain.ts";
import { goesOn, nextStep, type WalkResult, type WalkState, withEvent } from "./walk-state.ts";

/** What goes through the hooks: a connection's first packet, or an answer to it. */
export interface Passage {
  readonly context: WalkContext;
  /** What conntrack makes of a packet that it sees for the first time. */
  readonly connection: (packet: PacketView) => ConnectionView;
  /** Sends a locally generated packet another way, where a rule changed what its route hangs on. */
  readonly reroute: (state: WalkState) => WalkResult;
}

/** The tables in the order of their priorities: raw -300, conntrack -200, mangle -150, nat -100, filter 0, security 50, nat 100. */
const BEFORE_CONNTRACK = ["raw"] as const;
const AFTER_CONNTRACK: Readonly<Record<Hook, readonly string[]>> = {
  PREROUTING: ["mangle", "nat"],
  INPUT: ["mangle", "filter", "security", "nat"],
  FORWARD: ["mangle", "filter", "security"],
  OUTPUT: ["mangle", "nat", "filter", "security"],
  POSTROUTING: ["mangle", "nat"],
};

/** Takes one way through a hook: its tables in order, conntrack and NAT in their places. */
export function walkHook(passage: Passage, entering: WalkState, hook: Hook): WalkResult {
  let result = goesOn(withEvent(entering, { kind: "hook", hook, packet: entering.packet }));
  if (hook === "PREROUTING" || hook === "OUTPUT") {
    for (const table of BEFORE_CONNTRACK)
      result = nextStep(result, (state) => walkTable(passage.context, state, { table, hook }));
    result = nextStep(result, (state) => goesOn(track(passage, state)));
  }
  for (const table of AFTER_CONNTRACK[hook]) {
    result = nextStep(result, (state) => {
      const after =
        table === "nat" ? walkNat(passage.context, state, hook) : walkTable(passage.context, state, { table, hook });
      if (hook !== "OUTPUT") return after;
      return nextStep(after, (way) =>
        needsReroute(state.packet, way.packet, table) ? passage.reroute(way) : goesOn(way),
      );
    });
  }
  return result;
}

function track(passage: Passage, state: WalkState): WalkState {
  if (state.packet.connection !== undefined) return state;
  return { ...state, packet: { ...state.packet, connection: passage.connection(state.packet) } };
}

/** Mangle's OUTPUT asks for a new route after any change of mark or address; NAT's only after a new destination address. */
function needsReroute(before: PacketView, after: PacketView, table: string): boolean {
  if (table === "nat") return before.destination !== after.destination;
  return table === "mangle" && before.mark !== after.mark;
}

/** The nat table sees a connection's first packet only, and each end of it once; later packets follow what was set up then. */
function walkNat(context: WalkContext, state: WalkState, hook: Hook): WalkResult {
  const { connection } = state.packet;
  if (connection === undefined) return goesOn(state);
  const end = hook === "PREROUTING" || hook === "OUTPUT" ? "destination" : "source";
  if (connection.direction === "REPLY") return goesOn(translateBack(state, end));
  if (!isFirst(connection.state)) return goesOn(state);
  if (state.natDone?.includes(end) === true) return goesOn(state);
  const done: WalkState = { ...state, natDone: [...(state.natDone ?? []), end] };
  return walkTable(context, done, { table: "nat", hook });
}

function isFirst(state: ConnectionState): boolean {
  return state === "NEW" || state === "RELATED";
}

/** Undoes, for an answer, what was done to the request: the destination as it comes in, the source as it leaves. */
function translateBack(state: WalkState, end: "source" | "destination"): WalkState {
  const { packet } = state;
  const { connection } = packet;
  if (connection === undefined) return state;
  const { original } = connection;
  const address = end === "destination" ? original.source : original.destination;
  const ports = end === "destination" ? original.sourcePorts : original.destinationPorts;
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
