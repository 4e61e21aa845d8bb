import type { InheritedListeners, ServiceProxy } from "../service-proxy.ts";
import type { DrainOrder, GenerationService, Generations } from "./generation.ts";

/**
 * One proxy for each network namespace (and `name`): the abstract unix socket `\0svcproxy-userspace/NAME` is the lock,
 * a unix socket file in `runtimeDirectory` (mode 0600) is the way to talk to it.
 */
export interface InstanceOptions {
  /** Default `default`; another one lets a second proxy run beside the first on purpose. */
  readonly name?: string;
  /** Default: $RUNTIME_DIRECTORY, else /run/svcproxy for root, else $XDG_RUNTIME_DIR/svcproxy, else a folder of the user's in /tmp. */
  readonly runtimeDirectory?: string;
  /** For `claimInstance`: take the listeners of an instance that runs, instead of failing. */
  readonly takeOver?: boolean;
}

/**
 * What `claimInstance(options)` gives.
 *
 * @throws EnvironmentError ALREADY_RUNNING where an instance runs and `takeOver` is false
 * With `takeOver` and nobody running it is a plain start.
 */
export interface InstanceClaim {
  /** Path of the unix socket file that `status` uses. */
  readonly controlPath: string;
  /** Absent for a plain start. */
  readonly inherited?: InheritedListeners;
  /** Pid of the instance that is taken over. */
  readonly predecessorPid?: number;
  /**
   * Call when the first plan is applied: the predecessor stops accepting and drains; from then on this instance answers
   * `status` with `status()` and hands its listeners to a successor.
   */
  serve(service: InstanceService): Promise<void>;
  /** Those that were taken over before, and go on for the connections that they have. */
  generations(): Promise<Generations>;
  drainGeneration(order: DrainOrder): Promise<void>;
  /** Gives the lock back. */
  release(): Promise<void>;
}

export interface InstanceService {
  readonly proxy: ServiceProxy;
  /** What `queryInstance(…)` gets: any JSON value. */
  status(): Promise<unknown>;
  /** The same for the question what is served. */
  served(): unknown;
  /**
   * A successor listens on everything that it wants: drain and exit, and leave VIPs in place, they are the successor's now.
   * The lock and the control socket have already passed on.
   */
  onTakenOver(successorPid: number): void;
  /** What its successors ask from then on, and tell it. */
  readonly generation: GenerationService;
  /**
   * Starts a successor that takes over. Absent: it cannot be done, because somebody else decides what runs here.
   *
   * @throws EnvironmentError where the successor fails; then this instance goes on
   */
  readonly reload?: () => Promise<void>;
}
