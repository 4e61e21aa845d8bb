import type { AdmissionDesk, Applicant } from "../policy/admission-desk.ts";
import type { Admission, AdmissionRequest } from "../policy/ledger.ts";
import { type AffinityMove, ALL_CONNECTIONS, type FromWorker } from "./worker-messages.ts";

/** Slots beyond those in use that a worker keeps, so that not every connection asks. */
const SPARE_SLOTS = 32;

type SlotAnswer = (granted: boolean) => void;

/**
 * A worker process's way to what holds for all workers: the supervisor keeps the books. Slots, of all connections and of each
 * client, are lent in bulk; only affinity asks for every connection.
 */
export class RemoteDesk implements AdmissionDesk {
  readonly #send: (message: FromWorker) => void;
  readonly #all: Purse;
  readonly #limitsConnections: boolean;
  readonly #clients = new Map<string, Purse>();
  readonly #forAdmission = new Map<number, Applicant>();
  #nextId = 0;

  constructor({ maxConnections, send }: { maxConnections: number; send: (message: FromWorker) => void }) {
    this.#limitsConnections = maxConnections > 0;
    this.#send = send;
    this.#all = new Purse(ALL_CONNECTIONS, send);
  }

  takeSlot(applicant: Applicant): void {
    if (!this.#limitsConnections || this.#all.take()) applicant.onSlot(true);
    else this.#all.wait((granted) => applicant.onSlot(granted));
  }

  giveSlot(): void {
    if (this.#limitsConnections) this.#all.put();
  }

  admit(request: AdmissionRequest, applicant: Applicant): void {
    if (!request.counted) {
      this.#choose(request, applicant);
      return;
    }
    const purse = this.#purseOf(request.client);
    if (purse.take()) this.#choose(request, applicant);
    else {
      purse.wait((granted) => {
        if (granted) this.#choose(request, applicant);
        else applicant.onAdmission({ kind: "refused" });
      });
    }
  }

  #purseOf(client: string): Purse {
    const known = this.#clients.get(client);
    if (known !== undefined) return known;
    const purse = new Purse(client, this.#send);
    this.#clients.set(client, purse);
    return purse;
  }

  #choose(request: AdmissionRequest, applicant: Applicant): void {
    if (request.affinity === undefined) {
      applicant.onAdmission({ kind: "admitted" });
      return;
    }
    const id = this.#nextId++;
    this.#forAdmission.set(id, applicant);
    this.#send({ kind: "admit", id, request: { ...request, counted: false } });
  }

  onAdmission(id: number, admission: Admission): void {
    const applicant = this.#forAdmission.get(id);
    this.#forAdmission.delete(id);
    applicant?.onAdmission(admission);
  }

  leave(client: string): void {
    this.#clients.get(client)?.put();
  }

  move(client: string, choice: AffinityMove): void {
    this.#send({ kind: "move", client, choice });
  }

  onSlots(pool: string, granted: number): void {
    this.#find(pool)?.onSlots(granted);
  }

  onGiveBack(pool: string): void {
    const purse = this.#find(pool);
    if (purse === undefined) this.#send({ kind: "gave-back", pool, slots: 0 });
    else purse.giveBack(0);
  }

  #find(pool: string): Purse | undefined {
    return pool === ALL_CONNECTIONS ? this.#all : this.#clients.get(pool);
  }

  sweep(): void {
    this.#all.trim(SPARE_SLOTS);
    for (const [client, purse] of this.#clients) {
      if (!purse.isIdle) purse.trim(SPARE_SLOTS);
      else {
        purse.giveBack(0);
        this.#clients.delete(client);
      }
    }
  }
}

/** The slots of one pool that this worker has. */
class Purse {
  readonly #pool: string;
  readonly #send: (message: FromWorker) => void;
  readonly #waiting: SlotAnswer[] = [];
  #lent = 0;
  #used = 0;
  #asked = false;

  constructor(pool: string, send: (message: FromWorker) => void) {
    this.#pool = pool;
    this.#send = send;
  }

  get isIdle(): boolean {
    return this.#used === 0 && !this.#asked;
  }

  /** False where there is none at hand: `wait` then. */
  take(): boolean {
    if (this.#used >= this.#lent) return false;
    this.#used++;
    return true;
  }

  wait(answer: SlotAnswer): void {
    this.#waiting.push(answer);
    this.#ask();
  }

  #ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#send({ kind: "want-slots", pool: this.#pool });
  }

  /** @param granted 0: there is none */
  onSlots(granted: number): void {
    this.#asked = false;
    this.#lent += granted;
    this.#serve();
    if (this.#waiting.length === 0) return;
    if (granted > 0) this.#ask();
    else for (const answer of this.#waiting.splice(0)) answer(false);
  }

  #serve(): void {
    while (this.#used < this.#lent) {
      const answer = this.#waiting.shift();
      if (answer === undefined) return;
      this.#used++;
      answer(true);
    }
  }

  put(): void {
    this.#used--;
    this.#serve();
  }

  /** Gives back what is not in use, but for `kept` slots. */
  giveBack(kept: number): void {
    const slots = Math.max(0, this.#lent - this.#used - kept);
    this.#lent -= slots;
    this.#send({ kind: "gave-back", pool: this.#pool, slots });
  }

  trim(spare: number): void {
    if (this.#lent - this.#used > 2 * spare) this.giveBack(spare);
  }
}
