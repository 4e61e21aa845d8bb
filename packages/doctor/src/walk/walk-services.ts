import { serviceName } from "@svcproxy/host";
import { type BranchJson, createTracer, type Trace, type TracedBranch, toNumber, traceToJson } from "@svcproxy/rules";
import {
  type Endpoint,
  type Frontend,
  familyOf,
  type Handling,
  InputError,
  type IpAddress,
  listNames,
  type ServicePortPlan,
} from "@svcproxy/topology";
import type { OpenQuestion, Sufferer } from "../cause.ts";
import { portOf } from "../checks/check-layer-two.ts";
import type { ObservedHost } from "../observation.ts";
import { type Client, clientsOf } from "./clients.ts";
import {
  isProxyChain,
  isProxyPlace,
  lastProxyChain,
  lastRule,
  rulePlace,
  stopOfEnding,
  untrackingRule,
} from "./read-branch.ts";
import { sourceTowards } from "./source-towards.ts";
import type { Leaving, Stop, StopReason } from "./stop.ts";

export interface Walked {
  readonly stops: readonly Stop[];
  readonly leaving: readonly Leaving[];
  readonly open: readonly OpenQuestion[];
  /** How many ways were followed. */
  readonly ways: number;
}

/** Follows, on paper, a connection of each kind of client to each frontend of the ports, through all rules that the host has. */
export function walkServices(at: ObservedHost, ports: readonly ServicePortPlan[]): Walked {
  const walk = new ServiceWalk(at);
  for (const port of ports) {
    for (const frontend of port.frontends) {
      const to = frontend.addresses.find((address) => address !== "::1" && !address.startsWith("127."));
      if (to === undefined) continue;
      for (const client of clientsOf(frontend, port.family, at)) walk.follow({ port, frontend, client, to });
    }
  }
  return walk;
}

interface Dialled {
  readonly port: ServicePortPlan;
  readonly frontend: Frontend;
  readonly client: Client;
  readonly to: IpAddress;
}

/** How far shares may be from equal: iptables writes them with so many digits. */
const SHARE_TOLERANCE = 1e-6;

class ServiceWalk implements Walked {
  readonly stops: Stop[] = [];
  readonly leaving: Leaving[] = [];
  /** By what they hang on. */
  readonly #undecided = new Map<string, { readonly at: Set<string>; readonly sufferers: Sufferer[] }>();
  readonly #at: ObservedHost;
  ways = 0;

  constructor(at: ObservedHost) {
    this.#at = at;
  }

  /** One for each thing on which it hangs, whatever hangs on it. */
  get open(): readonly OpenQuestion[] {
    return Array.from(this.#undecided, ([because, { at, sufferers }]) => ({
      subject: `service ${listNames(sufferers.map(({ service }) => service))}`,
      text: `What the rules do with ${listNames([...at])} is not decided: ${because}`,
      sufferers,
    }));
  }

  follow(dialled: Dialled): void {
    const trace = this.#trace(dialled);
    if (trace === undefined) return;
    const json = traceToJson(trace);
    const given = new Map<string, number>();
    let isWhole = true;
    for (const [index, branch] of trace.branches.entries()) {
      this.ways += 1;
      const told = json.branches[index];
      if (told === undefined) continue;
      const sufferer = this.#sufferer(dialled, toNumber(branch.probability));
      const endpoint = branch.kind === "decided" ? branch.outcome.endpoint : undefined;
      const key = endpointKey(endpoint?.address, endpoint?.ports?.from);
      given.set(key, (given.get(key) ?? 0) + toNumber(branch.probability));
      if (this.#branch({ ...dialled, branch, told, sufferer }) !== "as meant") isWhole = false;
    }
    // What stops on its way has taken its share with it.
    if (isWhole && dialled.client.wanted.kind === "forward") this.#shares(dialled, dialled.client.wanted, given);
  }

  #trace({ port, frontend, client, to }: Dialled): Trace | undefined {
    const { family, affinity } = port;
    const tracer = affinity === undefined ? this.#at.tracer(family) : this.#at.tracerOfStrangers(family);
    if (tracer === undefined) return undefined;
    try {
      return tracer.trace({ from: client.from, to, port: frontend.port, protocol: port.port.protocol });
    } catch (error) {
      // No such client comes in here.
      if (error instanceof InputError) return undefined;
      throw error;
    }
  }

  #sufferer({ port, client }: Dialled, share: number): Sufferer {
    return { service: serviceName(port), client: client.place, share };
  }

  #branch(
    way: Dialled & { branch: TracedBranch; told: BranchJson; sufferer: Sufferer },
  ): "as meant" | "by a program" | "otherwise" {
    const { branch, told, sufferer, client, port, frontend, to } = way;
    const stop = (why: StopReason, isReply = false) => {
      this.stops.push({ at: this.#at, family: port.family, isReply, sufferer, why });
      return "otherwise" as const;
    };
    if (branch.kind === "undecided" || branch.outcome.verdict === "undecided") {
      // Whether it is refused or dropped is of no interest where nobody serves it.
      if (client.wanted.kind !== "forward") return "as meant";
      const other = this.#otherVariant(way);
      if (other !== undefined) return stop(other);
      const because = told.undecidedBy ?? told.because;
      const known = this.#undecided.get(because) ?? { at: new Set(), sufferers: [] };
      known.at.add(endpointKey(to, frontend.port));
      known.sufferers.push(sufferer);
      this.#undecided.set(because, known);
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

  /** Where both variants of iptables have rules: what the one that holds no service proxy's does with the packet. */
  #otherVariant({ port, frontend, client, to }: Dialled): StopReason | undefined {
    const rules = this.#at.rules(port.family);
    const other = rules?.iptables.find(
      ({ rules: { tables } }) => !tables.some(({ chains }) => chains.some(isProxyChain)),
    );
    if (rules === undefined || rules.iptables.length < 2 || other?.variant === undefined) return undefined;
    const { hostState } = this.#at.snapshot;
    const tracer = createTracer({ rules: { ...rules, iptables: [other], nft: { tables: [] } }, hostState });
    const trace = tracer.trace({ from: client.from, to, port: frontend.port, protocol: port.port.protocol });
    const [branch] = trace.branches;
    const place = lastRule(
      traceToJson(trace).branches[0]?.steps ?? [],
      branch?.kind === "decided" ? branch.ended.state.past : undefined,
    );
    return place === undefined ? undefined : { kind: "variants", variant: other.variant, place };
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
        sufferer: this.#sufferer(dialled, meant),
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

/** The userspace proxy, or any other: a program of this host answers at the address that was dialled. */
function servedByProgram(
  at: ObservedHost,
  {
    way: { branch, frontend, to, port, client },
    endpoint,
  }: {
    readonly way: Dialled & { readonly branch: TracedBranch };
    readonly endpoint: { readonly address: string } | undefined;
  },
): boolean {
  if (branch.kind === "undecided") return false;
  const { ending } = branch.ended;
  if (ending.kind !== "delivered" || ending.to !== "host" || endpoint?.address !== to) return false;
  // What nobody listens for, the kernel itself refuses.
  return isListened(at, { frontend, to, port }) === (client.wanted.kind === "forward");
}

/** A program of this host listens where it is dialled. */
function isListened({ snapshot }: ObservedHost, { frontend, to, port }: Omit<Dialled, "client">): boolean {
  return snapshot.sockets.some(
    ({ protocol, address, port: listened, holders }) =>
      protocol === port.port.protocol &&
      listened === frontend.port &&
      (address === undefined || (address === to && familyOf(address) === port.family)) &&
      (address !== undefined || holders.some(({ command }) => /svcproxy|node/.test(command))),
  );
}

export function endpointKey(address: string | undefined, port: number | undefined): string {
  if (address === undefined) return "nobody";
  if (port === undefined) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
