import type { Admission, AdmissionRequest } from "./ledger.ts";
import { Ledger } from "./ledger.ts";

/** Waits for an answer of the desk; one object a connection, so that no closure is made. */
export interface Applicant {
  onSlot(granted: boolean): void;
  onAdmission(admission: Admission): void;
}

/** Where a worker asks what must hold for all workers together. Each question is answered once, at once where it can be. */
export interface AdmissionDesk {
  /** One of `maxConnections`. */
  takeSlot(applicant: Applicant): void;
  giveSlot(): void;
  admit(request: AdmissionRequest, applicant: Applicant): void;
  leave(client: string): void;
  move(client: string, choice: { key: string; endpoint: string; timeoutMs: number }): void;
  /** Called now and then: forget what is over, give back what is not needed. */
  sweep(): void;
}

/** The desk of a proxy with one worker, which is the proxy's own process. */
export class LocalDesk implements AdmissionDesk {
  readonly #ledger: Ledger;
  readonly #maxConnections: number;
  readonly #nowMs: () => number;
  #slots = 0;

  /** @param maxConnections 0: no limit */
  constructor({
    maxConnections,
    maxPerClient,
    nowMs,
  }: {
    maxConnections: number;
    maxPerClient: number;
    nowMs: () => number;
  }) {
    this.#ledger = new Ledger({ maxPerClient });
    this.#maxConnections = maxConnections;
    this.#nowMs = nowMs;
  }

  takeSlot(applicant: Applicant): void {
    const granted = this.#maxConnections === 0 || this.#slots < this.#maxConnections;
    if (granted) this.#slots++;
    applicant.onSlot(granted);
  }

  giveSlot(): void {
    this.#slots--;
  }

  admit(request: AdmissionRequest, applicant: Applicant): void {
    applicant.onAdmission(this.#ledger.admit(request, this.#nowMs()));
  }

  leave(client: string): void {
    this.#ledger.leave(client);
  }

  move(client: string, choice: { key: string; endpoint: string; timeoutMs: number }): void {
    this.#ledger.move(client, choice, this.#nowMs());
  }

  sweep(): void {
    this.#ledger.sweep(this.#nowMs());
  }
}
