import type { AffinityChoice } from "../policy/affinity-table.ts";
import type {
  Admission,
  AdmissionRequest,
  AdmissionWaiter,
  ConnectionLimiter,
  ConnectionLimits,
} from "../policy/connection-limiter.ts";
import type { FromWorker } from "./worker-messages.ts";

interface WaitingRequest {
  readonly request: AdmissionRequest;
  readonly waiter: AdmissionWaiter;
}

/**
 * The limiter of a worker process. Connections are counted here up to this worker's share (see `ConnectionShares`); how many a
 * client has, and where it sticks, only the supervisor knows. What one turn of the event loop asks it goes in one message.
 */
export class RemoteLimiter implements ConnectionLimiter {
  readonly #send: (message: FromWorker) => void;
  readonly #hasShare: boolean;
  #share = 0;
  #used = 0;
  /** Beyond the share. */
  #waiting: WaitingRequest[] = [];
  /** So many of them the supervisor knows of. */
  #reported = 0;
  /** In the order in which they asked, which is that of the answers. */
  readonly #asked: AdmissionWaiter[] = [];
  #requests: AdmissionRequest[] = [];
  #left: string[] = [];

  constructor(limits: ConnectionLimits, send: (message: FromWorker) => void) {
    this.#send = send;
    this.#hasShare = hasShares(limits);
  }

  admit(request: AdmissionRequest, waiter: AdmissionWaiter): void {
    if (!this.#hasShare || !request.counted) this.#ask(request, waiter);
    else if (this.#used < this.#share) this.#enter({ request, waiter });
    else {
      this.#waiting.push({ request, waiter });
      if (this.#waiting.length === 1) this.#send({ kind: "share-wanted" });
    }
  }

  #enter({ request, waiter }: WaitingRequest): void {
    this.#used++;
    if (request.affinity === undefined) waiter.onAdmission({ kind: "admitted" });
    else this.#ask({ ...request, counted: false }, waiter);
  }

  leave(client: string): void {
    if (!this.#hasShare) {
      this.#flushLater();
      this.#left.push(client);
      return;
    }
    this.#used--;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#reported = Math.max(0, this.#reported - 1);
    this.#enter(next);
  }

  /** The supervisor shares out anew: nothing more is taken until `onShare`. */
  reportUse(round: number): void {
    this.#share = this.#used;
    this.#reported = this.#waiting.length;
    this.#send({ kind: "share-used", round, use: { used: this.#used, waiting: this.#reported } });
  }

  onShare(share: number): void {
    this.#share = share;
    const answered = this.#waiting.splice(0, this.#reported);
    for (const waiting of answered) {
      if (this.#used < this.#share) this.#enter(waiting);
      else waiting.waiter.onAdmission({ kind: "refused", by: "max-connections" });
    }
    while (this.#used < this.#share) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#enter(next);
    }
    // They came meanwhile.
    if (this.#waiting.length > 0) this.#send({ kind: "share-wanted" });
  }

  #ask(request: AdmissionRequest, waiter: AdmissionWaiter): void {
    this.#flushLater();
    this.#requests.push(request);
    this.#asked.push(waiter);
  }

  onAdmissions(admissions: readonly Admission[]): void {
    const answered = this.#asked.splice(0, admissions.length);
    for (const [index, admission] of admissions.entries()) answered[index]?.onAdmission(admission);
  }

  move(client: string, choice: AffinityChoice): void {
    this.#send({ kind: "move", client, choice });
  }

  sweep(): void {} // the supervisor does

  #flushLater(): void {
    if (this.#requests.length + this.#left.length === 0) setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#send({ kind: "limiter", left: this.#left, requests: this.#requests });
    this.#left = [];
    this.#requests = [];
  }
}

/** Whether each worker counts up to a share of its own; where connections are counted by client the supervisor counts them all. */
function hasShares({ maxConnections, maxPerClient }: ConnectionLimits): boolean {
  return maxConnections > 0 && maxPerClient === 0;
}
