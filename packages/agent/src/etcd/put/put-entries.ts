import { randomBytes } from "node:crypto";
import type { SplitTopology } from "@svcproxy/topology";
import type { EtcdClient } from "../client/etcd-client.ts";
import { EtcdError } from "../client/etcd-error.ts";
import {
  commit,
  type EtcdCondition,
  type EtcdEntry,
  type EtcdOperation,
  readKey,
  readRange,
} from "../client/etcd-store.ts";
import {
  followedRange,
  type Generation,
  generationKey,
  orderKey,
  parseGeneration,
  renderGeneration,
  stagedPrefix,
} from "../etcd-layout.ts";
import { type EffectiveEntries, effectiveEntries, isRemoval } from "../source/effective-entries.ts";
import { conflict } from "./conflict.ts";
import { type PutPlan, planPut } from "./plan-put.ts";

/** As etcd is set by default: 128 operations and 1.5 MiB a request, of which we take less. */
const MAX_OPERATIONS = 128;
const MAX_BYTES = 1024 * 1024;

/** What etcd holds, and what a put would change. */
export interface PreparedPut {
  readonly plan: PutPlan;
  readonly stored: StoredEntries;
}

interface StoredEntries {
  readonly revision: number;
  readonly effective: EffectiveEntries;
  readonly generation: { readonly value: Generation | undefined; readonly modRevision: number };
  /** Below `generations/`. */
  readonly staged: readonly EtcdEntry[];
}

export interface PutResult {
  /** From which on the entries are in force; undefined: there was nothing to write. */
  readonly revision?: number;
  /** Whether they came by one transaction, or were staged first. */
  readonly isStaged: boolean;
}

/** Writes the entries of a topology so that whoever follows sees all of them at once. */
export class EntryWriter {
  readonly #client: EtcdClient;
  readonly #prefix: string;
  readonly #signal: AbortSignal;

  constructor(client: EtcdClient, { prefix, signal }: { readonly prefix: string; readonly signal: AbortSignal }) {
    this.#client = client;
    this.#prefix = prefix;
    this.#signal = signal;
  }

  /** Reads what is stored, and what would change. @throws EtcdError */
  async prepare(wanted: Pick<SplitTopology, "entries" | "order">): Promise<PreparedPut> {
    const stored = await this.#read();
    return { plan: planPut(wanted, stored.effective), stored };
  }

  /**
   * Writes it; first it ends what a put before it began.
   *
   * @throws EnvironmentError ETCD_CONFLICT where somebody else wrote since it was prepared; then nothing is changed. EtcdError
   */
  async put({ plan, stored }: PreparedPut): Promise<PutResult> {
    const { generation } = stored;
    if (generation.value?.isStaged === true) {
      await this.#moveStaged(generation.value, generation.modRevision);
      // What counts is the same, and lies elsewhere now.
      return this.put({ plan, stored: await this.#read() });
    }
    const id = randomBytes(8).toString("hex");
    const operations = this.#operations(plan);
    if (operations.length === 0 && stored.staged.length === 0) return { isStaged: false };
    const whole = [
      ...(stored.staged.length === 0 ? [] : [{ kind: "delete-prefix", prefix: stagedPrefix(this.#prefix) } as const]),
      ...operations,
      this.#mark({ id, isStaged: false }),
    ];
    if (whole.length <= MAX_OPERATIONS && sizeOf(whole) <= MAX_BYTES) {
      return { revision: await this.#commitOnce(whole, { id, conditions: this.#untouched(stored) }), isStaged: false };
    }
    return { revision: await this.#putStaged(plan, { id, stored }), isStaged: true };
  }

  async #read(): Promise<StoredEntries> {
    const { header, entries } = await readRange(this.#client, followedRange(this.#prefix), { signal: this.#signal });
    const marker = entries.find(({ key }) => key === generationKey(this.#prefix));
    return {
      revision: header.revision,
      effective: effectiveEntries(entries, this.#prefix),
      generation: { value: parseGeneration(marker?.value.toString("utf8")), modRevision: marker?.modRevision ?? 0 },
      staged: entries.filter(({ key }) => key.startsWith(stagedPrefix(this.#prefix))),
    };
  }

  #operations({ changes, order }: PutPlan): readonly EtcdOperation[] {
    const write = (key: string, value: string | undefined): EtcdOperation =>
      value === undefined ? { kind: "delete", key } : { kind: "put", key, value };
    return [
      ...changes.map(({ path, after }) => write(`${this.#prefix}/${path}`, after)),
      ...(order === undefined ? [] : [write(orderKey(this.#prefix), order.value)]),
    ];
  }

  #mark(generation: Generation): EtcdOperation {
    return { kind: "put", key: generationKey(this.#prefix), value: renderGeneration(generation) };
  }

  /** That nobody wrote since: neither another put, nor a hand. */
  #untouched({ revision, generation }: StoredEntries): readonly EtcdCondition[] {
    const since = revision;
    return [
      this.#sameGeneration(generation.modRevision),
      { kind: "prefix-unchanged", prefix: `${this.#prefix}/hosts/`, since },
      { kind: "prefix-unchanged", prefix: `${this.#prefix}/services/`, since },
      { kind: "prefix-unchanged", prefix: `${this.#prefix}/settings`, since },
    ];
  }

  #sameGeneration(modRevision: number): EtcdCondition {
    return { kind: "unchanged", key: generationKey(this.#prefix), modRevision };
  }

  /** A transaction that may have been carried out although no answer came is looked after: its generation says whose it is. */
  async #commitOnce(
    operations: readonly EtcdOperation[],
    { id, conditions }: { readonly id: string; readonly conditions: readonly EtcdCondition[] },
  ): Promise<number> {
    const doing = `write ${this.#prefix}/`;
    let revision: number | undefined;
    try {
      revision = await commit(this.#client, operations, { conditions, doing, signal: this.#signal });
    } catch (error) {
      if (!(error instanceof EtcdError && error.mayHaveHappened)) throw error;
      const { entry } = await readKey(this.#client, generationKey(this.#prefix), { signal: this.#signal });
      if (parseGeneration(entry?.value.toString("utf8"))?.id !== id) throw error;
      revision = entry?.modRevision;
    }
    if (revision === undefined) throw conflict(this.#prefix);
    return revision;
  }

  async #putStaged(
    plan: PutPlan,
    { id, stored }: { readonly id: string; readonly stored: StoredEntries },
  ): Promise<number> {
    const folder = `${stagedPrefix(this.#prefix)}${id}/`;
    const parts = [
      ...plan.changes.map(({ path, after }) => ({ path, value: after })),
      ...(plan.order === undefined ? [] : [{ path: "order", value: plan.order.value }]),
    ];
    const staging = parts.map(
      ({ path, value = "" }): EtcdOperation => ({ kind: "put", key: `${folder}${path}`, value }),
    );
    const conditions = [this.#sameGeneration(stored.generation.modRevision)];
    const doing = `write ${folder}`;
    // What a put that was killed left of the kind goes first, and alone: etcd takes no key twice in a transaction.
    const leftOver: EtcdOperation = { kind: "delete-prefix", prefix: stagedPrefix(this.#prefix) };
    for (const operations of [...(stored.staged.length === 0 ? [] : [[leftOver]]), ...inTransactions(staging)]) {
      const done = await commit(this.#client, operations, { conditions, doing, signal: this.#signal, isOnce: false });
      if (done === undefined) throw await this.#giveUp(folder);
    }
    const generation = { id, isStaged: true };
    let revision: number;
    try {
      revision = await this.#commitOnce([this.#mark(generation)], { id, conditions: this.#untouched(stored) });
    } catch (error) {
      if (error instanceof EtcdError) throw error;
      throw await this.#giveUp(folder);
    }
    await this.#moveStaged(generation, revision);
    return revision;
  }

  async #giveUp(folder: string): Promise<Error> {
    const operation: EtcdOperation = { kind: "delete-prefix", prefix: folder };
    await commit(this.#client, [operation], { doing: `clean up ${folder}`, signal: this.#signal, isOnce: false });
    return conflict(this.#prefix);
  }

  /** Moves what is staged, and in force, to its place, which nobody sees, and ends that it covers it. */
  async #moveStaged(generation: Generation, modRevision: number): Promise<void> {
    const folder = `${stagedPrefix(this.#prefix)}${generation.id}/`;
    const { staged } = await this.#read();
    const moves = staged
      .filter(({ key }) => key.startsWith(folder))
      .map(({ key, value }): EtcdOperation => {
        const place = `${this.#prefix}/${key.slice(folder.length)}`;
        return isRemoval(value)
          ? { kind: "delete", key: place }
          : { kind: "put", key: place, value: value.toString("utf8") };
      });
    const conditions = [this.#sameGeneration(modRevision)];
    const doing = `write ${this.#prefix}/`;
    const end: readonly EtcdOperation[] = [
      this.#mark({ id: generation.id, isStaged: false }),
      { kind: "delete-prefix", prefix: stagedPrefix(this.#prefix) },
    ];
    for (const operations of [...inTransactions(moves), end]) {
      const done = await commit(this.#client, operations, { conditions, doing, signal: this.#signal, isOnce: false });
      // Another put ended it in our place.
      if (done === undefined) return;
    }
  }
}

function sizeOf(operations: readonly EtcdOperation[]): number {
  return operations.reduce((total, operation) => total + bytesOf(operation), 0);
}

function bytesOf(operation: EtcdOperation): number {
  if (operation.kind === "delete-prefix") return operation.prefix.length;
  return Buffer.byteLength(operation.key) + (operation.kind === "put" ? Buffer.byteLength(operation.value) : 0);
}

function inTransactions(operations: readonly EtcdOperation[]): readonly (readonly EtcdOperation[])[] {
  const transactions: EtcdOperation[][] = [];
  let bytes = 0;
  for (const operation of operations) {
    const size = bytesOf(operation);
    const last = transactions.at(-1);
    if (last === undefined || last.length >= MAX_OPERATIONS || bytes + size > MAX_BYTES) {
      transactions.push([operation]);
      bytes = size;
    } else {
      last.push(operation);
      bytes += size;
    }
  }
  return transactions;
}
