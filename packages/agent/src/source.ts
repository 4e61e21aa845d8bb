import type { Family, Problem, SvcproxyError, Topology } from "@svcproxy/topology";
import type { RequestCounts } from "./kubernetes/request-counter.ts";

/** Where the topology comes from and goes on coming from: files, a cluster, a store. */
export interface Source {
  /** As people call it, for instance `/etc/svcproxy/topology.yaml`. */
  readonly name: string;
  /**
   * When it last gave a sign of life: a byte of a watch, or an answer to a cheap request, which a source asks after 30 s of silence. Where
   * that is more than 60 s ago the agent is *stale*: what the source last said stays in force, and since when is told. Undefined: it gave none
   * yet. Absent: a source that can be read whenever one wants to, so that silence says nothing; a file that can be read is never stale.
   */
  readonly lastHeard?: () => Date | undefined;
  /** Whether balancers may send this host new connections; absent: nothing says that they should not. */
  readonly isNodeEligible?: () => boolean;
  /**
   * The state as it is, then what becomes of it. Whoever takes the next event only when the last one is dealt with gets all that
   * changed meanwhile in one.
   *
   * It ends when `signal` is aborted, without an error, and not before; what is wrong with the source is an event. One at a time.
   *
   * What may come good without being told (a server that refuses, a file that cannot be opened) it tries again by itself: after 1 s, then after
   * twice as long, up to 30 s; `RetryTimer` keeps that time.
   */
  follow(signal: AbortSignal): AsyncIterable<SourceEvent>;
  /**
   * Lets go of what the source itself keeps from being applied until somebody says that it is meant; what follows is told as ever. Absent:
   * one that keeps nothing.
   *
   * @returns what it was, in words; undefined: nothing is kept now
   */
  confirm?(): string | undefined;
  /** Absent: it has no objects of their own for services and for endpoints. */
  objectChanges?(): ObjectChanges;
  /** Absent: it asks no API server. */
  requests?(): RequestCounts;
}

/** Objects that came, went or became others, by the source's own events. */
export interface ObjectChanges {
  readonly services: ChangeCount;
  readonly endpoints: ChangeCount;
}

export interface ChangeCount {
  readonly total: number;
  /** Those of them that no snapshot has told yet. */
  readonly pending: number;
}

export type SourceEvent = SourceSnapshot | SourceProblem;

/** The whole state; ends every problem that was told before. */
export interface SourceSnapshot {
  readonly kind: "snapshot";
  /** Shares with the snapshot before it each host, service and setting that has stayed. */
  readonly topology: Topology;
  readonly changed: ChangedServices;
  /** What deserves a second look although it could be read: all of it, also what was told before. */
  readonly warnings: readonly Problem[];
  /** False while only a part has come; nothing may be taken away by it. */
  readonly complete: boolean;
  /**
   * Every entry whose last word could not be taken, also those that were told before; absent: none. One bad entry does not hold up the
   * others: `topology` has its last good state, where there is one, and nothing of it else. The agent is *degraded* while there is one.
   */
  readonly refused?: readonly RefusedEntry[];
  /**
   * Endpoints, as `10.0.0.1:80` or `[fd00::1]:80`, of which is known that they are out of use on purpose: they said so themselves, or somebody
   * took them out. However many these are, their going needs no confirmation. Absent: nothing is known of any.
   */
  readonly withdrawn?: ReadonlySet<string>;
  /**
   * Whether all that it has not any more, beside the snapshot before it, was said to go, one by one, by who decides of it. However much it is, its
   * going needs no confirmation. Absent: no; it may be missing by a mistake.
   */
  readonly isMeant?: boolean;
  /** Changes of endpoints that this snapshot is the first to tell, as far as the source says when each began. Absent: it does not. */
  readonly begun?: readonly BegunChange[];
  /** Registrations that are kept in `topology` although the source lost them: `warnings` names them. Absent: none. */
  readonly staleEndpoints?: number;
}

/** A change of a service's endpoints, and when what caused it happened by the clock of who told it: a pod became ready, say. */
export interface BegunChange {
  /** `namespace/name`. */
  readonly service: string;
  readonly family: Family;
  readonly at: Date;
}

/** An entry of a source (a service of a file, a file of a directory, an object of a cluster, a key of a store) with a fault. */
export interface RefusedEntry {
  /** As people call it, for instance `service default/web`, `web.yaml`, `Service default/web`, `etcd /svcproxy/services/default/web`. */
  readonly entry: string;
  /** Since when it is refused without a break. */
  readonly since: Date;
  /** Whether an earlier state of it is in the topology. */
  readonly isKept: boolean;
  /** Why, each with its place. */
  readonly problems: readonly [Problem, ...Problem[]];
}

/**
 * What differs from the snapshot before: services as `namespace/name`, those that came, those that went and those that are otherwise; or
 * everything, where what all services depend on (hosts, settings) differs, and with the first one.
 */
export type ChangedServices = "everything" | ReadonlySet<string>;

/** Why there is no newer state; what was told before still holds. */
export interface SourceProblem {
  readonly kind: "problem";
  readonly problems: readonly [Problem, ...Problem[]];
  /** What whoever starts with it, and cannot go on without a state, ends with. */
  readonly error: SvcproxyError;
}

/** Begins to follow a source: what its first event takes goes on until somebody asks for it. Where nobody ever does, `signal` ends it as well. */
export function followFromNow(source: Source, signal: AbortSignal): AsyncIterable<SourceEvent> {
  const iterator = source.follow(signal)[Symbol.asyncIterator]();
  const first = iterator.next();
  // Whoever asks for it is told, if anybody does.
  first.catch(() => {});
  // One that waits for somebody to take an event does not look at the signal.
  signal.addEventListener("abort", () => void iterator.return?.().catch(() => {}), { once: true });
  return (async function* () {
    for (let next = await first; next.done !== true; next = await iterator.next()) yield next.value;
  })();
}
