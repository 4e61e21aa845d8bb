import type { AdmissionDesk, Applicant } from "../policy/admission-desk.ts";
import type { Admission, AdmissionRequest } from "../policy/ledger.ts";
import type { AffinityMove, FromWorker } from "./worker-messages.ts";

/** Slots beyond those in use that a worker keeps, so that not every connection asks. */
const SPARE_SLOTS = 32;

/** A worker process's way to what holds for all workers: the supervisor keeps the books, slots are lent in bulk. */
export class RemoteDesk implements AdmissionDesk {
  readonly #send: (message: FromWorker) => void;
  readonly #limitsConnections: boolean;
  readonly #forSlot: Applicant[] = [];
  readonly #forAdmission = new Map<number, Applicant>();
  #lent = 0;
  #used = 0;
  #asked = false;
  #nextId = 0;

  constructor({ maxConnections, send }: { maxConnections: number; send: (message: FromWorker) => void }) {
    this.#limitsConnections = maxConnections > 0;
    this.#send = send;
  }

  takeSlot(applicant: Applicant): void {
    if (this.#limitsConnections && this.#used >= this.#lent) {
      this.#forSlot.push(applicant);
      this.#ask();
      return;
    }
    this.#used++;
    applicant.onSlot(true);
  }

  #ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#send({ kind: "want-slots" });
  }

  /** @param granted 0: there is none */
  onSlots(granted: number): void {
    this.#asked = false;
    this.#lent += granted;
    while (this.#used < this.#lent) {
      const applicant = this.#forSlot.shift();
      if (applicant === undefined) return;
      this.#used++;
      applicant.onSlot(true);
    }
    if (this.#forSlot.length === 0) return;
    if (granted > 0) this.#ask();
    else for (const applicant of this.#forSlot.splice(0)) applicant.onSlot(false);
  }

  giveSlot(): void {
    this.#used--;
    const next = this.#forSlot.shift();
    if (next !== undefined) {
      this.#used++;
      next.onSlot(true);
    }
  }

  onGiveBack(): void {
    this.#giveBack(0);
  }

  #giveBack(kept: number): void {
    const slots = Math.max(0, this.#lent - this.#used - kept);
    this.#lent -= slots;
    this.#send({ kind: "gave-back", slots });
  }

  admit(request: AdmissionRequest, applicant: Applicant): void {
    const id = this.#nextId++;
    this.#forAdmission.set(id, applicant);
    this.#send({ kind: "admit", id, request });
  }

  onAdmission(id: number, admission: Admission): void {
    const applicant = this.#forAdmission.get(id);
    this.#forAdmission.delete(id);
    applicant?.onAdmission(admission);
  }

  leave(client: string): void {
    this.#send({ kind: "leave", client });
  }

  move(client: string, choice: AffinityMove): void {
    this.#send({ kind: "move", client, choice });
  }

  sweep(): void {
    if (this.#limitsConnections && this.#lent - this.#used > 2 * SPARE_SLOTS) this.#giveBack(SPARE_SLOTS);
  }
}
