import { type BranchJson, type Trace, type TracedBranch, toNumber, traceToJson } from "@svcproxy/rules";
import type { Endpoint, Handling } from "@svcproxy/topology";
import type { Sufferer } from "../cause.ts";
import { portOf } from "../checks/check-layer-two.ts";
import type { ObservedHost } from "../observation.ts";
import { type Dialled, suffererOf } from "./dialled.ts";
import { isProxyPlace, lastProxyChain, lastRule, rulePlace, stopOfEnding, untrackingRule } from "./read-branch.ts";
import { isListened, servedByProgram } from "./served-by-program.ts";
import { sourceTowards } from "./source-towards.ts";
import type { Leaving, Stop, StopReason } from "./stop.ts";

/** What becomes of a connection, by what the rules do with it. */
export interface TraceReading {
  readonly stops: readonly Stop[];
  readonly leaving: readonly Leaving[];
  readonly undecided: readonly UndecidedWay[];
}

/** A way that hangs on what nobody knows. */
export interface UndecidedWay {
  readonly because: string;
  readonly sufferer: Sufferer;
}

/** Holds what the rules do with a connection against what the plan wants. */
export function readTrace(
  trace: Trace,
  { at, dialled }: { readonly at: ObservedHost; readonly dialled: Dialled },
): TraceReading {
  return new Reading(at, { trace, dialled });
}

/** How far shares may be from equal: iptables writes them with so many digits. */
const SHARE_TOLERANCE = 1e-6;

class Reading implements TraceReading {
  readonly stops: Stop[] = [];
  readonly leaving: Leaving[] = [];
  readonly undecided: UndecidedWay[] = [];
  readonly #at: ObservedHost;

  constructor(at: ObservedHost, { trace, dialled }: { readonly trace: Trace; readonly dialled: Dialled }) {
    this.#at = at;
    const json = traceToJson(trace);
    const given = new Map<string, number>();
    let isWhole = true;
    for (const [index, branch] of trace.branches.entries()) {
      const told = json.branches[index];
      if (told === undefined) continue;
      const sufferer = suffererOf(dialled, toNumber(branch.probability));
      const endpoint = branch.kind === "decided" ? branch.outcome.endpoint : undefined;
      const key = endpointKey(endpoint?.address, endpoint?.ports?.from);
      given.set(key, (given.get(key) ?? 0) + toNumber(branch.probability));
      if (this.#branch({ ...dialled, branch, told, sufferer }) !== "as meant") isWhole = false;
    }
    // What stops on its way has taken its share with it.
    if (isWhole && dialled.client.wanted.kind === "forward") this.#shares(dialled, dialled.client.wanted, given);
  }

  #branch(
    way: Dialled & { branch: TracedBranch; told: BranchJson; sufferer: Sufferer },
  ): "as meant" | "by a program" | "otherwise" {
    const { branch, told, sufferer, client, port } = way;
    const stop = (why: StopReason, isReply = false) => {
      this.stops.push({ at: this.#at, family: port.family, isReply, sufferer, why });
      return "otherwise" as const;
    };
    if (branch.kind === "undecided" || branch.outcome.verdict === "undecided") {
      // Whether it is refused or dropped is of no interest where nobody serves it.
      if (client.wanted.kind !== "forward") return "as meant";
      this.undecided.push({ because: told.undecidedBy ?? told.because, sufferer });
      return "otherwise";
    }
    const { wanted } = client;
    const { ending, state } = branch.ended;
    if (ending.kind === "dropped" || ending.kind === "refused") {
      if (wanted.kind === (ending.kind === "dropped" ? "drop" : "refuse")) return "as meant";
      const why = stopOfEnding({ ending, state, steps: told.steps });
      if (why.kind === "fact" && why.fact === "hairpin-off" && bouncesBack(this.#at, state.packet.destination))
        return "otherwise";
      // Whoever refuses it later would not have seen it so: what was to be translated by then, and was not, is the fault.
      if (isOfOthers(why) && wanted.kind === "forward" && isPastTranslation(told) && !isListened(this.#at, way)) {
        const missed = this.#misdirected(way);
        if (missed.kind === "notTranslated") return stop(missed);
      }
      const untracked = isOfOthers(why) ? undefined : untrackingRule(told.steps, state.packet);
      // Where nothing is passed on, the translated packet would not be either: that is a cause of its own.
      if (untracked === undefined || isNotForwarding(why)) stop(why);
      if (untracked !== undefined) stop({ kind: "rule", place: untracked, does: "untracks" });
      return "otherwise";
    }
    const { endpoint } = branch.outcome;
    const planned = wanted.kind === "forward" ? plannedEndpoint(wanted, endpoint) : undefined;
    if (planned === undefined) {
      if (servedByProgram(this.#at, { way, endpoint })) return this.#programDials(way);
      return stop(this.#misdirected(way));
    }
    if (branch.reply?.returns === false) {
      const { fact, because, ending: end } = branch.reply;
      if (fact !== undefined) return stop(this.#replyFact(fact, because, told), true);
      if (end !== undefined)
        return stop(stopOfEnding({ ending: end, state: undefined, steps: told.reply?.steps ?? [] }), true);
    }
    if (ending.kind === "delivered" && ending.to === "interface") {
      this.leaving.push({
        at: this.#at,
        sufferer,
        endpoint: planned,
        protocol: port.port.protocol,
        source: branch.outcome.source.address,
        interface: ending.interface,
        nextHop: ending.nextHop,
        prefixLength: state.route?.destination.prefixLength,
      });
    }
    return "as meant";
  }

  /** A program of this host dials the endpoints itself. */
  #programDials({ client: { wanted }, port, sufferer }: Dialled & { readonly sufferer: Sufferer }): "by a program" {
    const endpoints = wanted.kind === "forward" ? wanted.endpoints : [];
    for (const endpoint of endpoints) {
      const from = sourceTowards(this.#at, endpoint.address);
      if (from === undefined) continue;
      const { protocol } = port.port;
      const trace = this.#at.tracer(port.family)?.trace({ from, to: endpoint.address, port: endpoint.port, protocol });
      const [branch] = trace?.branches ?? [];
      if (trace === undefined || branch?.kind !== "decided") continue;
      const { ending, state } = branch.ended;
      const share = { ...sufferer, share: 1 / endpoints.length };
      if (ending.kind === "dropped" || ending.kind === "refused") {
        const why = stopOfEnding({ ending, state, steps: traceToJson(trace).branches[0]?.steps ?? [] });
        this.stops.push({ at: this.#at, family: port.family, isReply: false, sufferer: share, why });
      } else if (ending.kind === "delivered" && ending.to === "interface")
        this.leaving.push({
          ...{ at: this.#at, sufferer: share, endpoint, protocol, source: branch.outcome.source.address },
          ...{
            interface: ending.interface,
            nextHop: ending.nextHop,
            prefixLength: state.route?.destination.prefixLength,
          },
        });
    }
    return "by a program";
  }

  /** A mark that asks for another source may have been taken away on the way. */
  #replyFact(fact: "bridge-past-netfilter" | "source-not-rewritten", because: string, told: BranchJson): StopReason {
    if (fact === "source-not-rewritten") {
      const cleared = told.steps.findLast(
        (step) =>
          step.kind === "rule" &&
          !isProxyPlace(step) &&
          (step.changes ?? []).some((change) => /^mark 0x[0-9a-f]+ becomes/.test(change)) &&
          /^mark 0x0 /.test(step.changes?.[0] ?? "") === false,
      );
      if (cleared?.kind === "rule") return { kind: "rule", place: rulePlace(cleared, undefined), does: "rewrites" };
    }
    return { kind: "replyFact", fact, because };
  }

  /** Delivered, and not to whom it was meant for. */
  #misdirected({
    branch,
    told,
    frontend,
    to,
    client,
  }: Dialled & { branch: TracedBranch; told: BranchJson }): StopReason {
    if (branch.kind === "undecided") throw new TypeError("an undecided way goes nowhere");
    const { destinationNat } = branch.ended.state;
    const by = lastRule(told.steps);
    if (client.wanted.kind !== "forward" && destinationNat === undefined)
      return {
        kind: "otherwise",
        text: `nothing ${client.wanted.kind === "refuse" ? "refuses" : "drops"} what is dialled at ${endpointKey(to, frontend.port)}, and nobody serves it`,
      };
    if (destinationNat !== undefined && !destinationNat.isOwn) {
      const step = told.steps.find(
        (one) =>
          one.kind === "rule" &&
          one.table === destinationNat.table &&
          one.chain === destinationNat.chain &&
          one.number === destinationNat.number,
      );
      if (step?.kind === "rule")
        return { kind: "rule", place: rulePlace(step, destinationNat.rule), does: "sends elsewhere" };
    }
    if (destinationNat === undefined) {
      const untracked = untrackingRule(told.steps, branch.ended.state.packet);
      if (untracked !== undefined) return { kind: "rule", place: untracked, does: "untracks" };
      const passed = lastProxyChain(told.steps);
      return {
        kind: "notTranslated",
        frontend: frontend.kind,
        address: to,
        port: frontend.port,
        ...(passed === undefined ? {} : { passed }),
      };
    }
    const where = told.endpoint ?? told.destination ?? "elsewhere";
    const meant = client.wanted.kind === "forward" ? "is not an endpoint of it" : "nobody is to serve it";
    return {
      kind: "otherwise",
      text: `sends it to ${where}, and that ${meant}`,
      ...(by === undefined ? {} : { place: by }),
    };
  }

  #shares(
    dialled: Dialled,
    wanted: Extract<Handling, { readonly kind: "forward" }>,
    given: ReadonlyMap<string, number>,
  ): void {
    for (const { address, port } of wanted.endpoints) {
      const key = endpointKey(address, port);
      const [share, meant] = [given.get(key) ?? 0, 1 / wanted.endpoints.length];
      if (Math.abs(share - meant) <= SHARE_TOLERANCE) continue;
      this.stops.push({
        at: this.#at,
        family: dialled.port.family,
        isReply: false,
        sufferer: suffererOf(dialled, meant),
        why: { kind: "share", endpoint: key, given: share, meant },
      });
    }
  }
}

/** Whether the port of a bridge behind which an endpoint is sends back what came by it; dead ports, and those of others, do not count. */
function bouncesBack(at: ObservedHost, endpoint: string): boolean {
  const neighbour = at.snapshot.neighbours.find(({ address }) => address === endpoint);
  const bridge = neighbour?.interface;
  if (bridge === undefined) return false;
  const port = portOf(at, { bridge, address: endpoint });
  const ports = at.snapshot.links.filter(({ name, master, isUp, hasCarrier }) =>
    port === undefined ? master === bridge && isUp && hasCarrier : name === port,
  );
  return ports.length > 0 && ports.every(({ hairpin }) => hairpin !== false);
}

/** It came by the rules that translate what comes in. */
function isPastTranslation({ steps }: BranchJson): boolean {
  const hook = steps.findLast((step) => step.kind === "hook");
  return hook?.kind === "hook" && ["INPUT", "FORWARD", "POSTROUTING"].includes(hook.hook);
}

/** A rule of another program ended it, tracked or not. */
function isOfOthers({ kind }: StopReason): boolean {
  return kind === "rule" || kind === "policy";
}

function isNotForwarding(why: StopReason): boolean {
  return why.kind === "fact" && why.fact === "not-forwarding";
}

function plannedEndpoint(
  { endpoints }: Extract<Handling, { readonly kind: "forward" }>,
  found: { readonly address: string; readonly ports?: { readonly from: number } } | undefined,
): Endpoint | undefined {
  return endpoints.find(({ address, port }) => address === found?.address && port === found.ports?.from);
}

export function endpointKey(address: string | undefined, port: number | undefined): string {
  if (address === undefined) return "nobody";
  if (port === undefined) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
