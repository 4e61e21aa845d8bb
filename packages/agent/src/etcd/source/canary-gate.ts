import type { Problem } from "@svcproxy/topology";

/** What agents say of themselves below `status/`. */
export interface CanaryStatus {
  readonly host: string;
  /** Up to which revision it has taken everything; undefined: it says nothing. */
  readonly revision?: number;
  readonly state?: string;
}

/** Who applies a change first, as the settings say. */
export interface CanarySettings {
  readonly hosts: readonly string[];
  readonly delayMs: number;
}

/** A change that waits for the canaries. */
interface Waiting<Value> {
  readonly value: Value;
  readonly revision: number;
  readonly since: number;
  /** Canaries that gave a status when it began to wait; undefined: not asked yet. */
  spoke: ReadonlySet<string> | undefined;
}

/** How often a canary that has not taken it, or is degraded, is asked again. */
const ASK_AGAIN_MS = 2_000;

/**
 * Lets changes through on this host only when canaries have had them for a while, and none of them is degraded. While one waits, further
 * changes wait behind it as one; where a canary is degraded by what waits, what came since takes its place.
 */
export class CanaryGate<Value> {
  #passed: Value | undefined;
  #waiting: Waiting<Value> | undefined;
  #behind: Waiting<Value> | undefined;
  #problems: readonly Problem[] = [];
  #askAt = 0;

  /** What counts on this host now. */
  get value(): Value | undefined {
    return this.#passed;
  }

  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /**
   * A change came.
   *
   * @param settings undefined: nobody applies it first, or this host does
   */
  offer(
    value: Value,
    { revision, settings, now }: { revision: number; settings: CanarySettings | undefined; now: number },
  ): void {
    if (settings === undefined || this.#passed === undefined) {
      this.#pass(value);
      return;
    }
    // What is offered again is no change.
    if (value === this.#passed || value === this.#waiting?.value || value === this.#behind?.value) return;
    const change: Waiting<Value> = { value, revision, since: now, spoke: undefined };
    if (this.#waiting === undefined) {
      this.#waiting = change;
      this.#askAt = now;
      this.#problems = [waits(change, settings)];
    } else this.#behind = change;
  }

  #pass(value: Value): void {
    this.#passed = value;
    this.#waiting = undefined;
    this.#behind = undefined;
    this.#problems = [];
  }

  /** When the canaries are to be asked; undefined: nothing waits. */
  askAt(): number | undefined {
    return this.#waiting === undefined ? undefined : this.#askAt;
  }

  /** What canaries say. @returns whether `value` or `problems` are others now */
  hear(statuses: readonly CanaryStatus[], { settings, now }: { settings: CanarySettings; now: number }): boolean {
    const waiting = this.#waiting;
    if (waiting === undefined) return false;
    waiting.spoke ??= new Set(statuses.flatMap(({ host, revision }) => (revision === undefined ? [] : [host])));
    const due = waiting.since + settings.delayMs;
    if (now < due) {
      this.#askAt = due;
      return false;
    }
    this.#askAt = now + ASK_AGAIN_MS;
    const { spoke } = waiting;
    const bad = statuses.flatMap((status) => {
      const why = whyNot(status, { revision: waiting.revision, spoke });
      return why === undefined ? [] : [`${status.host} ${why}`];
    });
    if (bad.length === 0) {
      const silent = statuses.filter(({ revision }) => revision === undefined).map(({ host }) => host);
      const next = this.#behind;
      this.#pass(waiting.value);
      this.#problems = silent.length === 0 ? [] : [silence(silent)];
      if (next !== undefined) this.#next(next, settings);
      return true;
    }
    if (this.#behind !== undefined) {
      this.#next(this.#behind, settings);
      return true;
    }
    const before = this.#problems[0]?.text;
    this.#problems = [degraded(waiting, bad)];
    return this.#problems[0]?.text !== before;
  }

  #next(change: Waiting<Value>, settings: CanarySettings): void {
    this.#waiting = change;
    this.#behind = undefined;
    this.#askAt = change.since;
    this.#problems = [...this.#problems, waits(change, settings)];
  }

  /** What waits counts now. @returns the revision; undefined: nothing waits */
  confirm(): number | undefined {
    const last = this.#behind ?? this.#waiting;
    if (last === undefined) return undefined;
    this.#pass(last.value);
    return last.revision;
  }
}

function whyNot(
  { host, revision, state = "unknown" }: CanaryStatus,
  { revision: wanted, spoke }: { revision: number; spoke: ReadonlySet<string> },
): string | undefined {
  if (revision === undefined) return spoke.has(host) ? "has gone silent since" : undefined;
  if (revision < wanted) return "has not applied it";
  return state === "following" ? undefined : `is ${state}`;
}

function waits({ revision }: Waiting<unknown>, { hosts, delayMs }: CanarySettings): Problem {
  return {
    code: "CANARY_FIRST",
    severity: "warning",
    subject: "canaryHosts",
    text: `Revision ${revision} is applied by ${hosts.join(", ")} first, and here ${delayMs / 1000} s after it came`,
    hint: "svcproxy confirm applies it now",
  };
}

function degraded({ revision }: Waiting<unknown>, bad: readonly string[]): Problem {
  return {
    code: "CANARY_DEGRADED",
    severity: "error",
    subject: "canaryHosts",
    text: `Revision ${revision} is not applied here: of the hosts that apply it first, ${bad.join(", ")}`,
    hint: "Mend the entries, or apply it all the same: svcproxy confirm",
  };
}

function silence(hosts: readonly string[]): Problem {
  return {
    code: "CANARY_SILENT",
    severity: "warning",
    subject: "canaryHosts",
    text: `Of the hosts that apply changes first, ${hosts.join(", ")} wrote no status: changes are applied without their word`,
    hint: "Run svcproxy run etcd://… there, as a user that may write status/ below the prefix, or take them out of canaryHosts",
  };
}
