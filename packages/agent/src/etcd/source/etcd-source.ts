import {
  EnvironmentError,
  inputError,
  type ParsedProxyConfiguration,
  type Problem,
  parseEntryKey,
  problemOf,
  problemOfError,
  type RegisteredEndpoint,
  type SvcproxyError,
  type Topology,
} from "@svcproxy/topology";
import { shareUnchanged } from "../../share-unchanged.ts";
import type { Source, SourceEvent } from "../../source.ts";
import { EtcdClient } from "../client/etcd-client.ts";
import { type EtcdSettings, nameEtcd } from "../client/etcd-settings.ts";
import { type EtcdEntry, type KeyRange, prefixRange } from "../client/etcd-store.ts";
import { followedRange } from "../etcd-layout.ts";
import { readCanarySettings, readCanaryStatuses } from "./canaries.ts";
import { CanaryGate, type CanarySettings } from "./canary-gate.ts";
import { type EffectiveEntries, effectiveEntries } from "./effective-entries.ts";
import { EtcdTopology } from "./etcd-topology.ts";
import { FOLLOW_TIMES, FollowedRange, type FollowTimes } from "./followed-range.ts";
import { isInUse, StaleEndpoints } from "./stale-endpoints.ts";
import { WithdrawnEndpoints } from "./withdrawn-endpoints.ts";

export interface EtcdSourceOptions {
  readonly settings: EtcdSettings;
  /** kube-proxy's, which goes over that of `settings` below the prefix. */
  readonly configuration?: ParsedProxyConfiguration;
  /** So many endpoints that vanish at once, and more than half of them, are kept; 0: none are. */
  readonly guardLeast: number;
  /** Which host of the topology this machine is; undefined: not known yet. */
  readonly ownHost: () => string | undefined;
  readonly times?: Partial<FollowTimes>;
}

/** What a source of etcd has taken, for the status that this host writes. */
export interface TakenRevision {
  /** The last that was told and dealt with. */
  readonly revision: number;
  readonly isCanary: boolean;
}

/** Below a prefix of etcd, entry by entry, what a topology file holds; with what registers itself there, and flannel's hosts. */
export class EtcdSource implements Source {
  readonly name: string;
  readonly client: EtcdClient;
  readonly #options: EtcdSourceOptions;
  readonly #topology: EtcdTopology;
  readonly #stale: StaleEndpoints;
  readonly #gate = new CanaryGate<EffectiveEntries>();
  readonly #main: FollowedRange;
  readonly #flannel: FollowedRange | undefined;
  #news = Promise.withResolvers<void>();
  /** What keeps a range from being followed, by its name. */
  readonly #faults = new Map<string, SvcproxyError>();
  /** The problem that was told last, and is not over. */
  #toldProblem: string | undefined;
  #lastTopology: Topology | undefined;
  #lastConfig: { readonly identity: readonly unknown[]; readonly effective: EffectiveEntries } | undefined;
  readonly #withdrawn = new WithdrawnEndpoints();
  /** Registrations that ended on purpose, and of which nothing was told yet. */
  #ended: { readonly path: string; readonly endpoint: RegisteredEndpoint }[] = [];
  #taken: TakenRevision = { revision: 0, isCanary: false };

  constructor(options: EtcdSourceOptions) {
    const { settings, configuration, guardLeast } = options;
    this.#options = options;
    this.name = nameEtcd(settings);
    this.client = new EtcdClient(settings);
    this.#topology = new EtcdTopology({ prefix: settings.prefix, configuration });
    this.#stale = new StaleEndpoints({ least: guardLeast });
    this.#main = this.#followed(followedRange(settings.prefix));
    const { flannelPrefix } = settings;
    if (flannelPrefix !== undefined) this.#flannel = this.#followed(prefixRange(`${flannelPrefix}/subnets/`));
  }

  lastHeard = (): Date | undefined => {
    const times = [this.#main, this.#flannel].flatMap((range) => (range === undefined ? [] : [range.lastHeard]));
    return times.reduce((oldest, time) =>
      oldest !== undefined && time !== undefined && oldest < time ? oldest : time,
    );
  };

  /** What this host has taken. */
  get taken(): TakenRevision {
    return this.#taken;
  }

  /** Tells the state anew, whether it has changed or not. */
  refresh(): void {
    this.#toldProblem = undefined;
    this.#news.resolve();
  }

  /** Lets go of endpoints that are kept, and applies what waits for canaries. @returns what that was, in words */
  confirm(): string | undefined {
    const gone = this.#stale.confirm(performance.now());
    for (const endpoint of gone) this.#ended.push({ path: "", endpoint });
    const revision = this.#gate.confirm();
    if (gone.length === 0 && revision === undefined) return undefined;
    this.refresh();
    return [
      ...(gone.length === 0 ? [] : [`${gone.length} endpoints whose registration vanished are gone`]),
      ...(revision === undefined ? [] : [`revision ${revision} does not wait for canaries`]),
    ].join("; ");
  }

  async *follow(signal: AbortSignal): AsyncGenerator<SourceEvent, void, undefined> {
    const ending = new AbortController();
    const end = () => {
      ending.abort();
      this.#news.resolve();
    };
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) return;
    const running = Promise.all([this.#main.run(ending.signal), this.#flannel?.run(ending.signal)]);
    // A bug there ends this as well.
    running.catch(() => this.#news.resolve());
    try {
      while (!signal.aborted) {
        await this.#untilNews(ending.signal);
        if (signal.aborted) break;
        const event = this.#tell();
        if (event !== undefined) yield event;
        // Whoever takes the next event has dealt with this one.
        if (event?.kind === "snapshot") this.#took();
        await Promise.race([running, Promise.resolve()]);
      }
    } finally {
      signal.removeEventListener("abort", end);
      ending.abort();
      await running.catch(() => {});
      this.client.close();
    }
  }

  #followed(range: KeyRange): FollowedRange {
    return new FollowedRange({
      ...{ client: this.client, range, times: { ...FOLLOW_TIMES, ...this.#options.times } },
      onState: ({ isAnew }) => {
        // Whoever is still there may not have been able to say so.
        const wasLost = this.#faults.delete(range.name);
        if (isAnew || wasLost) this.#stale.regained(performance.now());
        this.#news.resolve();
      },
      onRemoved: (entry) => this.#removed(entry),
      onFault: (error) => {
        this.#faults.set(range.name, error);
        this.#news.resolve();
      },
    });
  }

  /** What says that it ends, and then does, may do both before anything is told of it. */
  #removed(stored: EtcdEntry): void {
    const path = stored.key.slice(this.#options.settings.prefix.length + 1);
    const key = parseEntryKey(path);
    const endpoint = key?.kind === "endpoint" ? this.#topology.registrationOf({ key, stored }) : undefined;
    if (endpoint !== undefined && !isInUse(endpoint)) this.#ended.push({ path, endpoint });
  }

  /** Until something was told, or time alone changes something. */
  async #untilNews(signal: AbortSignal): Promise<void> {
    const times = [this.#stale.nextAt(performance.now()), this.#gate.askAt()].filter((at) => at !== undefined);
    const waitMs = Math.max(0, Math.min(...times) - performance.now());
    const timer = times.length === 0 ? undefined : setTimeout(() => this.#news.resolve(), waitMs);
    await this.#news.promise;
    clearTimeout(timer);
    this.#news = Promise.withResolvers<void>();
    await this.#askCanaries(signal);
  }

  async #askCanaries(signal: AbortSignal): Promise<void> {
    const at = this.#gate.askAt();
    const settings = this.#canarySettings(this.#options.ownHost());
    if (at === undefined || settings === undefined || performance.now() < at) return;
    const { prefix } = this.#options.settings;
    const statuses = await readCanaryStatuses(this.client, { prefix, hosts: settings.hosts, signal }).catch(() => []);
    this.#gate.hear(statuses, { settings, now: performance.now() });
  }

  /** By the last word of the settings, and where that is none by what they said before. */
  #canarySettings(ownHost: string | undefined): CanarySettings | undefined {
    const states = [this.#lastConfig?.effective, this.#gate.value].filter((state) => state !== undefined);
    for (const state of states) {
      const settings = readCanarySettings(state, ownHost);
      if (settings !== "unreadable") return settings;
    }
    return undefined;
  }

  #tell(): SourceEvent | undefined {
    const [fault] = this.#faults.values();
    if (fault !== undefined) return this.#tellProblem(fault);
    const [stored, flannel] = [this.#main.entries, this.#flannel?.entries];
    if (stored === undefined || (this.#flannel !== undefined && flannel === undefined)) return undefined;
    const { prefix } = this.#options.settings;
    const effective = effectiveEntries(stored.values(), prefix);
    // An etcd that was wiped says nothing about what is to be served.
    if (effective.entries.size === 0) return this.#tellProblem(nothingThere(prefix));
    const now = performance.now();
    const latest = this.#sameConfig(effective);
    const settings = this.#canarySettings(this.#options.ownHost());
    this.#gate.offer(latest, { revision: this.#main.revision, settings, now });
    const config = this.#gate.value ?? latest;
    const ended = this.#ended.splice(0);
    const left = new Set(ended.map(({ path }) => path));
    const { topology, refused, warnings } = this.#topology.read({
      effective: { ...config, endpoints: effective.endpoints, drains: effective.drains, strays: effective.strays },
      endpoints: this.#stale.update(this.#topology.registered(effective), now, left),
      flannel: [...(flannel?.values() ?? [])],
    });
    const gone = ended.map(({ endpoint }) => endpoint);
    const withdrawn = this.#withdrawn.update(topology, { before: this.#lastTopology, gone, now });
    const shared = shareUnchanged(topology, this.#lastTopology);
    this.#lastTopology = shared.topology;
    this.#toldProblem = undefined;
    return {
      ...{ kind: "snapshot", complete: true, ...shared },
      ...(refused.length === 0 ? {} : { refused }),
      withdrawn,
      staleEndpoints: this.#stale.count(now),
      warnings: [...this.#gate.problems, ...this.#stale.problems(now), ...warnings],
    };
  }

  /** Each time that it is tried again it fails the same way: that is told once. */
  #tellProblem(error: SvcproxyError): SourceEvent | undefined {
    if (this.#toldProblem === error.message) return undefined;
    this.#toldProblem = error.message;
    return problemEvent(error, this.name);
  }

  #took(): void {
    const settings = this.#canarySettings(undefined);
    const host = this.#options.ownHost();
    this.#taken = {
      revision: this.#main.revision,
      isCanary: host !== undefined && settings?.hosts.includes(host) === true,
    };
  }

  /** The object of before where hosts, services and settings are as they were: then nothing waits for canaries. */
  #sameConfig(effective: EffectiveEntries): EffectiveEntries {
    const { entries, isStaged, order } = effective;
    const identity = [...[...entries.values()].map(({ stored }) => stored), isStaged, order];
    const before = this.#lastConfig;
    const isSame =
      before !== undefined &&
      before.identity.length === identity.length &&
      identity.every((part, index) => part === before.identity[index]);
    if (isSame) return before.effective;
    this.#lastConfig = { identity, effective };
    return effective;
  }
}

function nothingThere(prefix: string): SvcproxyError {
  return inputError("NO_ENTRIES", `There is nothing below ${prefix}/ in etcd: neither hosts nor services`, {
    hint: "Write a topology there: svcproxy etcd put FILE",
  });
}

function problemEvent(error: SvcproxyError, subject: string): SourceEvent {
  const problems: readonly Problem[] =
    error instanceof EnvironmentError
      ? [{ ...problemOfError(error, { subject }), severity: "error" }]
      : [
          {
            ...problemOf({ severity: "error", code: "NO_ENTRIES", message: error.message }),
            subject,
            ...hintOf(error),
          },
        ];
  const [first] = problems;
  if (first === undefined) throw new TypeError("an error is a problem");
  return { kind: "problem", problems: [first], error };
}

function hintOf({ hint }: SvcproxyError): Pick<Problem, "hint"> {
  return hint === undefined ? {} : { hint };
}
