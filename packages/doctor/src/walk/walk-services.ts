import { createTracer, type InOneOrder, traceInEachOrder, traceToJson } from "@svcproxy/rules";
import { InputError, listNames, type ServicePortPlan } from "@svcproxy/topology";
import type { OpenQuestion, Sufferer } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";
import { causesOfStops } from "./causes-of-stops.ts";
import { clientsOf } from "./clients.ts";
import { type Dialled, suffererOf } from "./dialled.ts";
import { isProxyChain, lastRule } from "./read-branch.ts";
import { endpointKey, readTrace, type TraceReading, type UndecidedWay } from "./read-trace.ts";
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

/** What hangs on one thing that nobody knows. */
interface Undecided {
  readonly at: Set<string>;
  readonly sufferers: Sufferer[];
  /** What one of them comes to in each order of chains. */
  readonly told?: string;
}

const ORDER_HINT =
  "Of one priority, what was loaded last is asked first: load again what is to come first, or give one of them another priority";

class ServiceWalk implements Walked {
  readonly stops: Stop[] = [];
  readonly leaving: Leaving[] = [];
  /** By what they hang on. */
  readonly #undecided = new Map<string, Undecided>();
  readonly #at: ObservedHost;
  ways = 0;

  constructor(at: ObservedHost) {
    this.#at = at;
  }

  /** One for each thing on which it hangs, whatever hangs on it. */
  get open(): readonly OpenQuestion[] {
    return Array.from(this.#undecided, ([because, { at, sufferers, told }]) => ({
      subject: `service ${listNames(sufferers.map(({ service }) => service))}`,
      text: `What the rules do with ${listNames([...at])} is not decided: ${because}${told === undefined ? "" : `. ${told}`}`,
      ...(told === undefined ? {} : { hint: ORDER_HINT }),
      sufferers,
    }));
  }

  follow(dialled: Dialled): void {
    const orders = this.#trace(dialled);
    const [first, ...others] = orders.map(({ trace }) => readTrace(trace, { at: this.#at, dialled }));
    if (first === undefined) return;
    this.ways += orders[0]?.trace.branches.length ?? 0;
    const key = keyOf(first);
    if (others.every((other) => keyOf(other) === key)) this.#found(dialled, first);
    else this.#hangsOnOrder(dialled, orders);
  }

  #found(dialled: Dialled, { stops, leaving, undecided }: TraceReading): void {
    this.stops.push(...stops);
    this.leaving.push(...leaving);
    for (const { because, sufferer } of undecided) this.#leaveOpen(dialled, { because, sufferer });
  }

  /** In some orders of chains it comes to something else than in others. */
  #hangsOnOrder(dialled: Dialled, orders: readonly InOneOrder[]): void {
    const byEnd = Map.groupBy(orders, ({ trace }) =>
      describeReading(readTrace(trace, { at: this.#at, dialled }), dialled),
    );
    const told = Array.from(byEnd, ([end, alike]) => `if ${sharedBy(alike)}, ${end}`);
    this.#leaveOpen(dialled, {
      because: orders[0]?.because ?? "",
      sufferer: suffererOf(dialled, 1),
      told: `A connection of ${dialled.client.from} to ${endpointKey(dialled.to, dialled.frontend.port)}: ${told.join("; ")}`,
    });
  }

  #leaveOpen(dialled: Dialled, { because, sufferer, told }: UndecidedWay & { readonly told?: string }): void {
    const other = this.#otherVariant(dialled);
    if (other !== undefined) {
      this.stops.push({ at: this.#at, family: dialled.port.family, isReply: false, sufferer, why: other });
      return;
    }
    const known = this.#undecided.get(because) ?? {
      at: new Set(),
      sufferers: [],
      ...(told === undefined ? {} : { told }),
    };
    known.at.add(endpointKey(dialled.to, dialled.frontend.port));
    known.sufferers.push(sufferer);
    this.#undecided.set(because, known);
  }

  #trace({ port, frontend, client, to }: Dialled): readonly InOneOrder[] {
    const { family, affinity } = port;
    const tracer = affinity === undefined ? this.#at.tracer(family) : this.#at.tracerOfNewClients(family);
    if (tracer === undefined) return [];
    const request = { from: client.from, to, port: frontend.port, protocol: port.port.protocol };
    try {
      // Which of them refuses or drops what nobody serves is of no interest.
      if (client.wanted.kind !== "forward") return [{ trace: tracer.trace(request), assumed: [] }];
      return traceInEachOrder(tracer, request);
    } catch (error) {
      // No such client comes in here.
      if (error instanceof InputError) return [];
      throw error;
    }
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
}

/** Equal for two that come to the same, though other rules may have done it. */
function keyOf({ stops, leaving, undecided }: TraceReading): string {
  return JSON.stringify([
    stops.map(({ isReply, sufferer, why }) => JSON.stringify([isReply, sufferer, why])).sort(),
    leaving.map(({ at: _, ...way }) => JSON.stringify(way)).sort(),
    undecided.map((way) => JSON.stringify(way)).sort(),
  ]);
}

function describeReading({ stops, leaving, undecided }: TraceReading, { client, to }: Dialled): string {
  const causes = causesOfStops(stops).map(({ text }) =>
    text.replace(/^(The|A|Connections|Nobody) /, (word) => word.toLowerCase()),
  );
  const open = undecided.map(({ because }) => because);
  if (causes.length + open.length > 0) return [...new Set([...causes, ...open])].join(", and ");
  const sources = [...new Set(leaving.map(({ source }) => source))].filter((source) => source !== client.from);
  return `${to} is served${sources.length === 0 ? "" : `, and its endpoints see ${listNames(sources)} as the client`}`;
}

/** What all of them assume; where that is nothing, one after the other. */
function sharedBy(orders: readonly InOneOrder[]): string {
  const [first, ...others] = orders;
  const shared = first?.assumed.filter((text) => others.every(({ assumed }) => assumed.includes(text))) ?? [];
  return shared.length > 0
    ? shared.join(", and ")
    : orders.map(({ assumed }) => assumed.join(", and ")).join(", or if ");
}
