import type { AffinityChoice } from "../policy/affinity-table.ts";
import type { Admission, AdmissionRequest, AdmissionWaiter, ConnectionLimiter } from "../policy/connection-limiter.ts";
import type { FromWorker } from "./worker-messages.ts";

/** A worker process asks its supervisor, which counts for all of them; one message each way a connection, where there is a limit or affinity. */
export class RemoteLimiter implements ConnectionLimiter {
  readonly #send: (message: FromWorker) => void;
  readonly #waiting = new Map<number, AdmissionWaiter>();
  #nextId = 0;

  constructor(send: (message: FromWorker) => void) {
    this.#send = send;
  }

  admit(request: AdmissionRequest, waiter: AdmissionWaiter): void {
    const id = this.#nextId++;
    this.#waiting.set(id, waiter);
    this.#send({ kind: "admit", id, request });
  }

  onAdmission(id: number, admission: Admission): void {
    const waiter = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiter?.onAdmission(admission);
  }

  leave(client: string): void {
    this.#send({ kind: "leave", client });
  }

  move(client: string, choice: AffinityChoice): void {
    this.#send({ kind: "move", client, choice });
  }

  sweep(): void {} // the supervisor does
}
