import type { IpAddress } from "@svcproxy/topology";
import type { PlacedRule } from "../../hooks/any-rule.ts";
import { bridgeAsksRules, isBridge } from "../../host/interface-kind.ts";
import { ONE } from "../../trace/packet/fraction.ts";
import type { ConnectionView } from "../../trace/packet/packet-view.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import type { RefusalAnswer } from "../../trace/walk/refusal-answer.ts";
import { wayBack } from "../../trace/walk/reply-path.ts";
import { reportingAddress } from "../../trace/walk/trace-refusal.ts";
import type { WalkState } from "../../trace/walk/walk-state.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import type { ExamplePackets } from "../report/example-packet.ts";
import type { IndexSet } from "../space/index-set.ts";
import { firstMember, hasMember, intersect, isSubset, singleSet } from "../space/index-set.ts";
import type { SymbolicState } from "../walk/symbolic-state.ts";
import { enteringState, walkHost } from "../walk/walk-host.ts";

/** A part of a delivered state whose replies fare alike. */
export interface ReplyCase {
  readonly part: SymbolicState;
  /** Undefined: that hangs on something that cannot be decided here. */
  readonly returns: boolean | undefined;
  readonly because: string;
  readonly placed?: PlacedRule;
  /** The match that could not be decided. */
  readonly question?: string;
}

/** That a packet is too big for a link on its way, on which path MTU discovery counts. */
export const TOO_BIG = {
  4: { protocol: 1, icmp: { type: 3, code: 4 } },
  6: { protocol: 58, icmp: { type: 2, code: 0 } },
} as const;

const TCP = 6;
const ICMP = 1;
const ICMP6 = 58;

const RELATED = singleSet(CONNECTION_STATES.indexOf("RELATED"));
const ESTABLISHED = singleSet(CONNECTION_STATES.indexOf("ESTABLISHED"));

/** Follows the replies to the packets of a delivered state back to their clients. */
export class ReplyWays {
  readonly #context: ProofContext;
  readonly #examples: ExamplePackets;
  readonly #known = new Map<string, ReturnType<typeof wayBack>>();

  constructor(context: ProofContext, examples: ExamplePackets) {
    this.#context = context;
    this.#examples = examples;
  }

  follow(state: SymbolicState): readonly ReplyCase[] {
    return this.#byHome(state).flatMap(({ part, seen }) => this.#followAlike(part, seen));
  }

  /** Parts of which the endpoint sees sources that all live behind one interface. */
  #byHome(state: SymbolicState): readonly { part: SymbolicState; seen: number }[] {
    const { source, region } = state;
    if (typeof source === "number") return [{ part: state, seen: source }];
    const { host } = this.#context;
    const homes: readonly IndexSet[] =
      state.inInterface?.kind === "bySource"
        ? [...state.inInterface.arriving.values()]
        : pieces(intersect(region.source, host.local));
    return homes.flatMap((home) => {
      const taken = intersect(region.source, home);
      if (taken.length === 0) return [];
      const seen = this.#examples.pick(taken);
      return [{ part: { ...state, region: { ...region, source: taken } }, seen }];
    });
  }

  #followAlike(part: SymbolicState, seen: number): readonly ReplyCase[] {
    if (part.outInterface !== undefined) {
      const way = this.#wayBack(part, seen);
      if (way.kind === "elsewhere") return [{ part, returns: way.returns, because: way.because }];
    }
    return this.#context.filters
      ? this.#walkBack(part)
      : [{ part, returns: true, because: "it comes back the same way" }];
  }

  #wayBack(state: SymbolicState, seen: number): ReturnType<typeof wayBack> {
    const { space, view } = this.#context;
    const { destination, outInterface = "", route } = state;
    const to = typeof destination === "number" ? destination : (firstMember(state.region.destination) ?? 0);
    const isTranslated = state.sourceNat !== undefined || state.destinationNat !== undefined;
    // What is said besides the answer names the addresses; the answer hangs on these alone.
    const key = [seen, outInterface, isTranslated, seen === to, route?.gateway ?? ""].join(" ");
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const way = wayBack(
      view,
      representative(state, { source: space.addressAt(seen), destination: space.addressAt(to) }),
      outInterface,
    );
    this.#known.set(key, way);
    return way;
  }

  /** The reply's own way through the hooks of this host. */
  #walkBack(state: SymbolicState): readonly ReplyCase[] {
    return this.#walk(state, this.#answer(state), "the answer");
  }

  #answer(state: SymbolicState): SymbolicState {
    const isFromHere = state.outInterface === undefined;
    return {
      ...state,
      region: { ...state.region, state: ESTABLISHED },
      source: state.destination === "destination" ? "destination" : state.destination,
      destination: state.source === "source" ? "source" : state.source,
      sourcePort: state.destinationPort,
      destinationPort: state.sourcePort,
      mark: { kept: 0, flipped: 0 },
      direction: "REPLY",
      awaitedIn: state.conntrack === "tracked" ? state.replyZone : "none",
      replyZone: 0,
      originalZone: 0,
      conntrack: "unseen",
      tos: { kept: 0xff, flipped: 0 },
      ttl: "answer",
      isLocal: isFromHere,
      inInterface: state.outInterface === undefined ? undefined : { kind: "named", name: state.outInterface },
      outInterface: undefined,
      route: undefined,
      assumptions: undefined,
    };
  }

  /** Follows the errors of routers: about the answers, to the endpoint, and about what is sent to it, to the client. */
  followErrors(state: SymbolicState): readonly ReplyCase[] {
    const { family } = this.#context.space;
    const error = { refusal: TOO_BIG[family], sourcePort: "unknown", destinationPort: "unknown" } as const;
    const what = "an ICMP error about the connection";
    const back = { ...this.#answer(state), ...error };
    const toClient = this.#walk(state, { ...back, region: { ...state.region, state: RELATED } }, what);
    // The host's own programs have no router before them.
    if (state.inInterface?.kind !== "bySource") return toClient;
    const forth: SymbolicState = {
      ...enteringState({ ...state.region, state: RELATED }, "network"),
      ...error,
      inInterface: state.inInterface,
      follows: { source: state.source, destination: state.destination },
      destinationNat: state.destinationNat,
      sourceNat: state.sourceNat,
      awaitedIn: state.conntrack === "tracked" ? state.originalZone : "none",
      connectionMark: undefined,
    };
    return [...toClient, ...this.#walk(state, forth, what)];
  }

  #walk(state: SymbolicState, reply: SymbolicState, what: string): readonly ReplyCase[] {
    return walkHost(this.#context, reply).map(({ state: end, ending }): ReplyCase => {
      const part = { ...state, region: { ...end.region, state: state.region.state } };
      if (ending.kind === "delivered") return { part, returns: true, because: "it comes back the same way" };
      const question = end.assumptions?.question.text;
      const returns = ending.kind === "undecided" || question !== undefined ? undefined : false;
      return {
        part,
        returns,
        because: `${what} is ${ending.kind}: ${ending.because}`,
        ...(ending.placed === undefined ? {} : { placed: ending.placed }),
        ...(question === undefined ? {} : { question }),
      };
    });
  }

  /** Follows what tells the clients that they are refused: the host's own ICMP, or its TCP reset. */
  followRefusal(state: SymbolicState, answer: RefusalAnswer): readonly ReplyCase[] {
    if (answer.kind === "told" || !this.#context.filters) return [];
    return this.#byHome(state).flatMap(({ part, seen }) => this.#refusalOf(part, { seen, answer }));
  }

  #refusalOf(
    part: SymbolicState,
    { seen, answer }: { readonly seen: number; readonly answer: Exclude<RefusalAnswer, { readonly kind: "told" }> },
  ): readonly ReplyCase[] {
    const { space, view, host } = this.#context;
    const isReset = answer.kind === "reset";
    const client = space.addressAt(seen);
    if (isReset && this.#comesByBridgePort(part, seen))
      return [{ part, returns: true, because: "the reset goes straight out by the bridge port" }];
    const isLocal =
      typeof part.destination === "number"
        ? hasMember(host.local, part.destination)
        : part.destination !== "unknown" && isSubset(part.region[part.destination], host.local);
    const own = isReset || isLocal ? undefined : reportingAddress(view, client);
    if (!isReset && !isLocal && own === undefined)
      return [{ part, returns: false, because: `the refusal is not sent: no route leads back to ${client}` }];
    const refusal: SymbolicState = {
      ...part,
      region: { ...part.region, state: RELATED },
      source: own === undefined ? part.destination : space.indexOf(own),
      destination: part.source,
      sourcePort: isReset ? part.destinationPort : "unknown",
      destinationPort: isReset ? part.sourcePort : "unknown",
      mark: { kept: 0, flipped: 0 },
      direction: "REPLY",
      // It belongs to the connection that it refuses from the start.
      conntrack: part.conntrack === "tracked" ? "tracked" : "untracked",
      tos: { kept: 0xff, flipped: 0 },
      ttl: "refusal",
      isLocal: true,
      inInterface: undefined,
      outInterface: undefined,
      route: undefined,
      assumptions: undefined,
      refusal: isReset
        ? { protocol: TCP }
        : { protocol: space.family === 4 ? ICMP : ICMP6, icmp: { type: answer.type, code: answer.code } },
    };
    return this.#walk(part, refusal, isReset ? "the reset that refuses it" : "the ICMP that refuses it");
  }

  #comesByBridgePort({ inInterface }: SymbolicState, seen: number): boolean {
    const { view, space } = this.#context;
    if (inInterface?.kind !== "bySource" || !bridgeAsksRules(view, space.family)) return false;
    const home = [...inInterface.arriving].find(([, sources]) => hasMember(sources, seen));
    const device = view.router.interfaceOf(home?.[0] ?? "");
    return device !== undefined && isBridge(device);
  }
}

function pieces(set: IndexSet): readonly IndexSet[] {
  const result: IndexSet[] = [];
  for (let at = 0; at < set.length; at += 2) {
    for (let piece = set[at] ?? 0; piece < (set[at + 1] ?? 0); piece++) result.push(singleSet(piece));
  }
  return result;
}

/** One packet of a state as the tracer holds it, with what `wayBack` asks for. */
function representative(
  { sourceNat, destinationNat, route }: SymbolicState,
  { source, destination }: { source: IpAddress; destination: IpAddress },
): WalkState {
  const tuple = { source, destination };
  const connection: ConnectionView = {
    state: "NEW",
    protocol: "tcp",
    direction: "ORIGINAL",
    mark: 0,
    labels: new Set(),
    original: tuple,
    reply: { source: destination, destination: source },
    isConfirmed: false,
    sourceTranslated: sourceNat !== undefined,
    destinationTranslated: destinationNat !== undefined,
  };
  return {
    packet: {
      family: source.includes(":") ? 6 : 4,
      protocol: "tcp",
      source,
      destination,
      mark: 0,
      isLocal: false,
      frame: "unicast",
      recent: undefined,
      connection,
    },
    probability: ONE,
    assumptions: undefined,
    past: undefined,
    ...(route === undefined ? {} : { route }),
  };
}
