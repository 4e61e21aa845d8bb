import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { protocols } from "../compile/condition.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import { intersect, singleSet, subtract, unite } from "../space/index-set.ts";
import type { Region } from "../space/region.ts";
import { leavesBy, loopbackName, routeOutput } from "./route-state.ts";
import type { EndedState, InInterface, SymbolicState } from "./symbolic-state.ts";
import { goesOn, next, type SymbolicResult, through } from "./symbolic-steps.ts";
import { walkArriving } from "./walk-arriving.ts";
import { walkHook } from "./walk-symbolic-hook.ts";

/** A region as it enters the host, nothing done to it yet. */
export function enteringState(region: Region, from: "host" | "network"): SymbolicState {
  return {
    region,
    source: "source",
    destination: "destination",
    sourcePort: "sourcePort",
    destinationPort: "destinationPort",
    mark: { kept: 0xffffffff, flipped: 0 },
    connectionMark: { kept: 0, flipped: 0 },
    tos: { kept: 0xff, flipped: 0 },
    ttl: "",
    priority: "unknown",
    direction: "ORIGINAL",
    replyZone: 0,
    originalZone: 0,
    conntrack: "unseen",
    isLocal: from === "host",
    inInterface: from === "host" ? undefined : ANYWHERE,
    outInterface: undefined,
    route: undefined,
    destinationNat: undefined,
    sourceNat: undefined,
    natDone: [],
    isInNat: false,
    probability: 1,
    assumptions: undefined,
    remembered: undefined,
    written: undefined,
    decisions: undefined,
    deeds: undefined,
  };
}

/** Takes all packets of a state to their ends; the ends are disjoint but for chances and assumptions. */
export function walkHost(context: ProofContext, state: SymbolicState): readonly EndedState[] {
  for (;;) {
    context.memory.isOutdated = false;
    const ended = walkOnce(context, state);
    // What rules write on a map, packets of later connections find there.
    if (!context.memory.isOutdated) return ended;
  }
}

function walkOnce(context: ProofContext, state: SymbolicState): readonly EndedState[] {
  const { going, ended } = through(
    byArrival(context, state).flatMap((one) => byConnection(context, one)),
    (one) => (one.isLocal ? walkLocal(context, one) : walkArriving(context, one)),
  );
  for (const one of going) ended.push({ state: one, ending: { kind: "delivered" } });
  return ended;
}

/** Before it is known where it goes, and so by which interface it comes. */
const ANYWHERE: InInterface = { kind: "bySource", arriving: new Map() };

/** Tells packets apart by the interfaces by which they may come, where that hangs on whom they dial. */
function byArrival({ host }: ProofContext, state: SymbolicState): readonly SymbolicState[] {
  if (state.inInterface !== ANYWHERE) return [state];
  return host.arrivals.flatMap(({ destinations, byInterface }) => {
    const { region } = state;
    const part = {
      ...region,
      destination: intersect(region.destination, destinations),
      source: host.arrivals.length === 1 ? region.source : intersect(region.source, unite(byInterface.values())),
    };
    if (part.destination.length === 0 || part.source.length === 0) return [];
    return [{ ...state, region: part, inInterface: { kind: "bySource" as const, arriving: byInterface } }];
  });
}

/** Of the first group everything is known, of the second neither its mark nor its flags; the third has no connection. */
const CONNECTION_GROUPS = ([["NEW"], ["ESTABLISHED", "RELATED"], ["INVALID", "UNTRACKED"]] as const).map((group) =>
  unite(group.map((state) => singleSet(CONNECTION_STATES.indexOf(state)))),
);

/** Tells connections apart by what is known of them, where a rule asks for more than their state. */
function byConnection(context: ProofContext, state: SymbolicState): readonly SymbolicState[] {
  const parts = context.asksForTuple ? byTuple(state) : [state];
  if (!context.asksForConnection || state.direction === "REPLY") return parts;
  return parts.flatMap((part) =>
    CONNECTION_GROUPS.flatMap((group, place) => {
      const taken = intersect(part.region.state, group);
      if (taken.length === 0) return [];
      const one = { ...part, region: { ...part.region, state: taken } };
      return [place === 1 ? { ...one, connectionMark: undefined } : one];
    }),
  );
}

const RELATED = singleSet(CONNECTION_STATES.indexOf("RELATED"));
const ICMP = protocols("icmp", "ipv6-icmp");

/** Tells errors apart, which have not the addresses of the connection to which they belong. */
function byTuple(state: SymbolicState): readonly SymbolicState[] {
  const { region } = state;
  const related = intersect(region.state, RELATED);
  const errors = intersect(region.protocol, ICMP);
  // Of what we send about a connection that we look at it is known.
  if (state.refusal !== undefined || related.length === 0 || errors.length === 0) return [state];
  const others = [
    { ...region, state: subtract(region.state, RELATED) },
    { ...region, state: related, protocol: subtract(region.protocol, errors) },
  ].filter((part) => part.state.length > 0 && part.protocol.length > 0);
  return [
    ...others.map((part) => ({ ...state, region: part })),
    { ...state, region: { ...region, state: related, protocol: errors }, isErrorAbout: true as const },
  ];
}

function walkLocal(context: ProofContext, state: SymbolicState): SymbolicResult {
  const loopback = loopbackName(context);
  return next(
    next(
      next(routeOutput(context, state, { isFirst: true }), (one) => walkHook(context, one, "OUTPUT")),
      (one) => walkHook(context, { ...one, outInterface: leavesBy(context, one) }, "POSTROUTING"),
    ),
    (one) => (one.outInterface === loopback ? loopBack(context, one) : goesOn(one)),
  );
}

/** What the host sends to itself comes in again by the loopback; NAT is not asked twice. */
function loopBack(context: ProofContext, state: SymbolicState): SymbolicResult {
  const returning: SymbolicState = {
    ...state,
    isLocal: false,
    inInterface: { kind: "named", name: loopbackName(context) },
    outInterface: undefined,
  };
  return next(walkHook(context, returning, "PREROUTING"), (one) => walkHook(context, one, "INPUT"));
}
