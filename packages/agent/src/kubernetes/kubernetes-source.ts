import { setTimeout as delay } from "node:timers/promises";
import {
  EnvironmentError,
  type InputError,
  type KubernetesOptions,
  LiveKubernetes,
  type ParsedProxyConfiguration,
  type Problem,
  problemOf,
  problemOfError,
  type RefusedObject,
} from "@svcproxy/topology";
import { RefusedEntries } from "../refused-entries.ts";
import type { ObjectChanges, RefusedEntry, Source, SourceEvent } from "../source.ts";
import type { ApiClient } from "./api-client.ts";
import { explainApiError } from "./api-error.ts";
import { stripped } from "./api-object.ts";
import { ChangeTriggers } from "./change-triggers.ts";
import { currentVersion } from "./list-pages.ts";
import { NodeWatch } from "./node-watch.ts";
import { Reflector, type ReflectorSink } from "./reflector.ts";
import type { RequestCounts } from "./request-counter.ts";
import { type Resource, resourcesOf } from "./resource.ts";

export interface KubernetesSourceOptions extends KubernetesOptions {
  readonly client: ApiClient;
  /** The name of this node, in lower case. */
  readonly node: string;
  /** Whether nothing is told before the node has its podCIDR: where pods are told from other clients by it. */
  readonly needsPodCIDR?: boolean;
  /** Changes are collected for so long. */
  readonly settleMs?: number;
  /** After so long without a byte the server is asked whether it is there. */
  readonly silenceMs?: number;
  /** What fails for less than this is not told, once everything has come. */
  readonly graceMs?: number;
  /** See `ReflectorOptions`. */
  readonly firstRetryMs?: number;
  readonly longestRetryMs?: number;
}

/** A deployment changes many slices within a few milliseconds. */
const SETTLE_MS = 2;
const SILENCE_MS = 30_000;
/** An answer to a cheap question that takes longer is none. */
const ANSWER_MS = 10_000;
/** One resource alone has to be missed for so many times longer. */
const PARTIAL = 3;
/** Pauses after failures are cut short at most so often. */
const HURRY_MS = 5_000;
/** An API server that is started anew is back within this, as a rule. */
const GRACE_MS = 10_000;

/** A node of which nothing ever could be read. */
function unreadableNode(node: string, refused: readonly RefusedObject[]): EnvironmentError {
  const [why] = refused.filter(({ entry }) => entry === `Node ${node}`).flatMap(({ faults }) => faults);
  const reason = why === undefined ? "has no address that can be read" : `cannot be read: ${why.message}`;
  return new EnvironmentError("NODE_INCOMPLETE", `The node ${JSON.stringify(node)} ${reason}`, {
    hint: "It is waited for: the kubelet, the controller manager or the cloud's controller sets it",
  });
}

/** A cluster, followed through its API server as one of its nodes: what kube-proxy follows, and as little. */
export class KubernetesSource implements Source {
  readonly name: string;
  readonly #options: KubernetesSourceOptions;
  readonly #live: LiveKubernetes;
  readonly #refused = new RefusedEntries();
  readonly #node: NodeWatch;
  #refusedConfiguration: Omit<RefusedEntry, "since"> | undefined;
  #postponed: readonly Problem[] = [];
  readonly #failures = new Map<string, { readonly since: Date; readonly error: unknown }>();
  #lastHeard: Date | undefined;
  #hasState = false;
  /** Whether the last that was told is that there is no newer state. */
  #isDown = false;
  #backSinceMs: number | undefined;
  #hurriedAtMs = Number.NEGATIVE_INFINITY;
  #isChanged = false;
  /** Whether some of what is to be told came with a list: who is missing in one was not said to go. */
  #isListed = false;
  #wake: () => void = () => {};
  /** What was told last: the problem, or what stands beside the topology. */
  #told = "";
  #reflectors: readonly Reflector[] = [];
  readonly #triggers = new ChangeTriggers();
  readonly #changes = { services: { total: 0, pending: 0 }, endpoints: { total: 0, pending: 0 } };

  constructor(options: KubernetesSourceOptions) {
    const { client, node } = options;
    this.#options = options;
    this.name = `Kubernetes at ${client.name}`;
    this.#live = new LiveKubernetes(options);
    this.#node = new NodeWatch(node);
  }

  lastHeard(): Date | undefined {
    return this.#lastHeard;
  }

  objectChanges(): ObjectChanges {
    return structuredClone(this.#changes);
  }

  requests(): RequestCounts {
    return this.#options.client.requests;
  }

  #count(kind: string): void {
    const counted =
      kind === "Service" ? this.#changes.services : kind === "EndpointSlice" ? this.#changes.endpoints : undefined;
    if (counted === undefined) return;
    counted.total += 1;
    counted.pending += 1;
  }

  /** Whether balancers may send this node new connections: it is there, and nobody is about to take it away. */
  isNodeEligible(): boolean {
    return this.#node.isEligible;
  }

  async *follow(signal: AbortSignal): AsyncGenerator<SourceEvent, void, undefined> {
    if (signal.aborted) return;
    const ending = new AbortController();
    const both = AbortSignal.any([signal, ending.signal]);
    this.#reflectors = resourcesOf(this.#options.node).map((resource) => this.#reflectorOf(resource));
    const running = [...this.#reflectors.map((reflector) => reflector.run(both)), this.#askInSilence(both)];
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    try {
      while (!signal.aborted) {
        await this.#nextChange();
        if (signal.aborted) break;
        const event = this.#tell();
        if (event !== undefined) yield event;
      }
    } finally {
      ending.abort();
      await Promise.all(running);
    }
  }

  /** Settings of the data path from now on. @param postponed what of the configuration does not count yet */
  configure(configuration: ParsedProxyConfiguration, postponed: readonly Problem[] = []): void {
    this.#live.configure(configuration);
    this.#postponed = postponed;
    this.#refusedConfiguration = undefined;
    this.#change();
  }

  /** The configuration cannot be taken as it is now: what there was before counts on, and that is told until one is taken. */
  refuseConfiguration(file: string, { faults: [first, ...others] }: InputError): void {
    this.#refusedConfiguration = {
      entry: `configuration ${file}`,
      isKept: true,
      problems: [problemOf(first), ...others.map(problemOf)],
    };
    this.#change();
  }

  /** Asks for everything anew. */
  refresh(): void {
    for (const reflector of this.#reflectors) reflector.restart();
  }

  /** What there can be no state without. */
  get #needed(): readonly string[] {
    return resourcesOf(this.#options.node)
      .filter(({ isOptional }) => !isOptional)
      .map(({ plural }) => plural);
  }

  #reflectorOf(resource: Resource): Reflector {
    const { client, firstRetryMs, longestRetryMs } = this.#options;
    return new Reflector({
      ...{ client, resource, sink: this.#sinkOf(resource) },
      ...(firstRetryMs === undefined ? {} : { firstRetryMs }),
      ...(longestRetryMs === undefined ? {} : { longestRetryMs }),
    });
  }

  #sinkOf({ kind, plural }: Resource): ReflectorSink {
    return {
      set: (key, object, how) => {
        this.#isListed ||= how === "list";
        this.#live.set(kind, key, stripped(object));
        if (kind === "EndpointSlice") this.#triggers.set(key, object);
        this.#count(kind);
        if (kind === "Node") this.#node.set(stripped(object));
      },
      remove: (key, how) => {
        this.#isListed ||= how === "list";
        this.#live.remove(kind, key);
        if (kind === "EndpointSlice") this.#triggers.remove(key);
        this.#count(kind);
        if (kind === "Node") this.#node.remove();
      },
      changed: () => {
        this.#recovered(plural);
        this.#change();
      },
      heard: () => {
        this.#lastHeard = new Date();
      },
      opened: () => {
        if (this.#recovered(plural)) this.#change();
      },
      failed: (error) => {
        const { graceMs = GRACE_MS } = this.#options;
        const since = this.#failures.get(plural)?.since;
        this.#failures.set(plural, { since: since ?? new Date(), error });
        this.#change();
        // What lasts is told once it has lasted.
        if (since !== undefined) return;
        for (const times of [1, PARTIAL]) setTimeout(() => this.#change(), times * graceMs + 1).unref();
      },
    };
  }

  /** Where one is followed again, the others may be; but a server that takes each and drops it is not asked without a pause. */
  #recovered(plural: string): boolean {
    const isBack = this.#failures.delete(plural);
    if (isBack) this.#retryNow();
    return isBack;
  }

  #retryNow(): void {
    const nowMs = performance.now();
    if (nowMs - this.#hurriedAtMs < HURRY_MS) return;
    this.#hurriedAtMs = nowMs;
    for (const reflector of this.#reflectors) reflector.retryNow();
  }

  #change(): void {
    this.#isChanged = true;
    this.#wake();
  }

  async #nextChange(): Promise<void> {
    const { settleMs = SETTLE_MS } = this.#options;
    if (!this.#isChanged) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      await new Promise((settled) => setTimeout(settled, settleMs));
    }
    this.#isChanged = false;
  }

  /** What is to be said now; undefined: nothing. */
  #tell(): SourceEvent | undefined {
    const failing = this.#failing();
    const isSynced = this.#reflectors.every((reflector) => reflector.isSynced);
    const error = isSynced ? this.#lack(failing) : failing[0]?.error;
    if (error !== undefined) return this.#tellProblem(error);
    if (!isSynced || this.#isComingBack(this.#needed.some((plural) => this.#failures.has(plural)))) return undefined;
    const state = this.#live.state();
    this.#changes.services.pending = 0;
    this.#changes.endpoints.pending = 0;
    if (state.topology.hosts.length === 0) return this.#tellProblem(unreadableNode(this.#options.node, state.refused));
    const { topology, changed, refused } = state;
    const begun = this.#triggers.take(changed);
    this.#refused.become([
      ...(this.#refusedConfiguration === undefined ? [] : [this.#refusedConfiguration]),
      ...failing.map(({ plural, error: why }) => ({
        ...{ entry: `${plural} of ${this.name}`, isKept: true },
        problems: [problemOfError(why, { subject: this.name })] as const,
      })),
      ...refused.map(({ entry, isKept, faults: [first, ...others] }) => ({
        ...{ entry, isKept },
        problems: [problemOf(first), ...others.map(problemOf)] as const,
      })),
    ]);
    const warnings: readonly Problem[] = [...this.#node.problems, ...this.#postponed, ...state.warnings.map(problemOf)];
    const beside = JSON.stringify([warnings, this.#refused.list()]);
    const isMeant = !this.#isListed;
    this.#isListed = false;
    if (this.#hasState && changed !== "everything" && changed.size === 0 && beside === this.#told) return undefined;
    this.#told = beside;
    this.#hasState = true;
    const refusedEntries = this.#refused.list();
    return { kind: "snapshot", topology, changed, complete: true, warnings, refused: refusedEntries, begun, isMeant };
  }

  /** After nothing was heard, what is still missing is given a moment: else the state would be told in pieces. */
  #isComingBack(isSomeMissing: boolean): boolean {
    const { graceMs = GRACE_MS } = this.#options;
    if (!this.#isDown) return false;
    if (isSomeMissing && this.#backSinceMs === undefined) {
      this.#backSinceMs = performance.now();
      setTimeout(() => this.#change(), graceMs + 1).unref();
    }
    if (isSomeMissing && performance.now() - (this.#backSinceMs ?? 0) < graceMs) return true;
    this.#isDown = false;
    this.#backSinceMs = undefined;
    return false;
  }

  #tellProblem(error: EnvironmentError): SourceEvent | undefined {
    this.#isDown = true;
    this.#backSinceMs = undefined;
    const problem = { ...problemOfError(error, { subject: this.name }), severity: "error" } as const;
    // Until there is a newer state nothing else tells of it.
    const problems = [problem, ...(this.#refusedConfiguration?.problems ?? [])] as const;
    const told = JSON.stringify(problems.map(({ text }) => text));
    if (this.#told === told) return undefined;
    this.#told = told;
    return { kind: "problem", problems, error };
  }

  /** What could not be followed for longer than it takes to start a server. */
  #failing() {
    const { graceMs = GRACE_MS, client } = this.#options;
    const lasts = (since: Date, leastMs: number) => !this.#hasState || Date.now() - since.getTime() >= leastMs;
    // Where a server goes, not all that is followed of it is missed at the same moment: then all of it is told, or nothing yet.
    const isAll = this.#needed.every((plural) => this.#failures.has(plural));
    const isAllTold = isAll && [...this.#failures.values()].some(({ since }) => lasts(since, graceMs));
    return [...this.#failures].flatMap(([plural, { since, error }]) => {
      if (!isAllTold && (isAll || !lasts(since, PARTIAL * graceMs))) return [];
      return [{ plural, error: explainApiError(error, { what: `follow ${plural}`, server: client.name }) }];
    });
  }

  /** Why there can be no newer state, where everything was heard once: nothing is heard any more, or the node is not as it has to be. */
  #lack(
    failing: readonly { readonly plural: string; readonly error: EnvironmentError }[],
  ): EnvironmentError | undefined {
    if (this.#needed.every((plural) => failing.some((one) => one.plural === plural))) return failing[0]?.error;
    if (this.#hasState) return undefined;
    const { node, needsPodCIDR = false } = this.#options;
    const name = JSON.stringify(node);
    if (!this.#node.isThere) {
      return new EnvironmentError("NO_SUCH_NODE", `The cluster has no node ${name}`, {
        hint: "It is waited for. If this node has another name there: --hostname-override NAME",
      });
    }
    if (!this.#node.hasAddress) {
      const hint = "It is waited for: the kubelet or the cloud's controller sets it";
      return new EnvironmentError("NODE_INCOMPLETE", `The node ${name} has no address yet`, { hint });
    }
    if (needsPodCIDR && !this.#node.hasPodCIDR) {
      return new EnvironmentError(
        "NODE_INCOMPLETE",
        `The node ${name} has no podCIDR yet, by which its pods are told`,
        {
          hint: "It is waited for. A cluster whose pods have no block a node: set another detectLocalMode",
        },
      );
    }
    return undefined;
  }

  /** Finds out what silence means: nothing happens, nobody is there, or the store was set back to before what was heard. */
  async #askInSilence(signal: AbortSignal): Promise<void> {
    const { silenceMs = SILENCE_MS, client } = this.#options;
    while (!signal.aborted) {
      await delay(silenceMs / 6, undefined, { signal }).catch(() => {});
      const silentMs = Date.now() - (this.#lastHeard?.getTime() ?? Date.now());
      if (signal.aborted || silentMs < silenceMs) continue;
      try {
        const both = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
        const [resource] = resourcesOf(this.#options.node);
        const version = await currentVersion({ client, resource, onBytes: () => this.#sinkOf(resource).heard() }, both);
        for (const reflector of this.#reflectors) reflector.serverIsAt(version);
        this.#retryNow();
      } catch {
        // They say themselves what is wrong, once they cannot connect.
        for (const reflector of this.#reflectors) reflector.reconnect();
      }
    }
  }
}
