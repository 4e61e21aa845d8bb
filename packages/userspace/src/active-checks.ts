import { repeat } from "@svcproxy/host";
import type { ByteStream, DataPlane, Dial, DialOwner } from "./plane/byte-stream.ts";
import { isLocalFault } from "./plane/system-error.ts";
import type { ListedEndpoint } from "./policy/frontend-spec.ts";

/** Checks in a row that fail before an endpoint counts as down, and that succeed before it counts as up again. */
const FALL = 2;
const RISE = 2;
/** Checks under way at a time; the rest waits for the next turn of the clock. */
const MAX_AT_ONCE = 64;
const TICK_MS = 50;

/** Dials each TCP endpoint now and then, and tells when the set of those that do not answer changes. */
export class ActiveChecks {
  readonly #plane: DataPlane;
  readonly #intervalMs: number;
  readonly #timeoutMs: number;
  readonly #onChange: (down: ReadonlySet<string>) => void;
  readonly #checks = new Map<string, EndpointCheck>();
  readonly #ticker: NodeJS.Timeout;
  #down: ReadonlySet<string> = new Set();

  constructor({
    plane,
    intervalMs,
    timeoutMs,
    onChange,
    onFault,
  }: {
    plane: DataPlane;
    intervalMs: number;
    timeoutMs: number;
    onChange: (down: ReadonlySet<string>) => void;
    onFault: (error: unknown) => void;
  }) {
    this.#plane = plane;
    this.#intervalMs = intervalMs;
    this.#timeoutMs = timeoutMs;
    this.#onChange = onChange;
    this.#ticker = repeat(() => this.#tick(), { everyMs: TICK_MS, onFault });
  }

  /** The endpoints to check from now on; what is known of those that stay is kept. */
  follow(targets: readonly ListedEndpoint[]): void {
    const current = new Set(targets.map(({ key }) => key));
    for (const [key, check] of this.#checks) {
      if (current.has(key)) continue;
      check.cancel();
      this.#checks.delete(key);
    }
    const nowMs = performance.now();
    const added = targets.filter(({ key }) => !this.#checks.has(key));
    // New ones are spread over one interval, so that they do not all dial at once for ever.
    added.forEach((target, index) => {
      const firstAtMs = nowMs + (this.#intervalMs * index) / added.length;
      this.#checks.set(target.key, new EndpointCheck(target, { firstAtMs, intervalMs: this.#intervalMs }));
    });
    this.#tell();
  }

  #tick(): void {
    const nowMs = performance.now();
    let underWay = 0;
    for (const check of this.#checks.values()) {
      check.timeOut(nowMs - this.#timeoutMs);
      if (check.isUnderWay) underWay++;
    }
    for (const check of this.#checks.values()) {
      if (underWay >= MAX_AT_ONCE) break;
      if (check.isDue(nowMs)) {
        check.start(this.#plane, nowMs);
        underWay++;
      }
    }
    this.#tell();
  }

  #tell(): void {
    const down = new Set([...this.#checks.values()].filter(({ isDown }) => isDown).map(({ key }) => key));
    if (down.size === this.#down.size && [...down].every((key) => this.#down.has(key))) return;
    this.#down = down;
    this.#onChange(down);
  }

  close(): void {
    clearInterval(this.#ticker);
    for (const check of this.#checks.values()) check.cancel();
    this.#checks.clear();
  }
}

class EndpointCheck implements DialOwner {
  readonly key: string;
  isDown = false;
  readonly #target: ListedEndpoint;
  readonly #intervalMs: number;
  #nextAtMs: number;
  #startedAtMs = 0;
  #dial: Dial | undefined;
  /** Answers in a row that speak against the present state. */
  #against = 0;

  constructor(target: ListedEndpoint, { firstAtMs, intervalMs }: { firstAtMs: number; intervalMs: number }) {
    this.key = target.key;
    this.#target = target;
    this.#intervalMs = intervalMs;
    this.#nextAtMs = firstAtMs;
  }

  get isUnderWay(): boolean {
    return this.#dial !== undefined;
  }

  isDue(nowMs: number): boolean {
    return this.#dial === undefined && this.#nextAtMs <= nowMs;
  }

  start(plane: DataPlane, nowMs: number): void {
    this.#startedAtMs = nowMs;
    this.#nextAtMs = nowMs + this.#intervalMs;
    this.#dial = plane.dial(this.#target, this);
  }

  /** A dial from before this moment has taken too long. */
  timeOut(beforeMs: number): void {
    if (this.#dial === undefined || this.#startedAtMs > beforeMs) return;
    this.#dial.cancel();
    this.onDialFailed("ETIMEDOUT");
  }

  onDialled(stream: ByteStream): void {
    stream.close();
    this.#answered(true);
  }

  onDialFailed(code: string): void {
    if (isLocalFault(code)) this.#dial = undefined;
    else this.#answered(false);
  }

  #answered(answers: boolean): void {
    this.#dial = undefined;
    if (answers !== this.isDown) {
      this.#against = 0;
      return;
    }
    this.#against++;
    if (this.#against < (this.isDown ? RISE : FALL)) return;
    this.#against = 0;
    this.isDown = !this.isDown;
  }

  cancel(): void {
    this.#dial?.cancel();
    this.#dial = undefined;
  }
}
