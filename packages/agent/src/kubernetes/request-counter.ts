import { addTime, noTimes, type Times } from "../observe/times.ts";

/** What was asked of an API server so far. */
export interface RequestCounts {
  /** Host and port. */
  readonly host: string;
  /** Answers by HTTP code; `<error>`: there was none. A watch is one answer. */
  readonly codes: ReadonlyMap<string, number>;
  /** From the question until all of the answer was there; watches, which last as long as they may, are not among them. */
  readonly times: Times;
}

/** Those of every client of Kubernetes. */
const BUCKETS_SECONDS: readonly number[] = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

export class RequestCounter {
  readonly #host: string;
  readonly #codes = new Map<string, number>();
  #times = noTimes(BUCKETS_SECONDS);

  constructor(host: string) {
    this.#host = host;
  }

  /** @param code of HTTP; undefined: there was no answer */
  answered(code: number | undefined): void {
    const name = code === undefined ? "<error>" : String(code);
    this.#codes.set(name, (this.#codes.get(name) ?? 0) + 1);
  }

  took(ms: number): void {
    this.#times = addTime(this.#times, ms / 1000);
  }

  get counts(): RequestCounts {
    return { host: this.#host, codes: new Map(this.#codes), times: this.#times };
  }
}
