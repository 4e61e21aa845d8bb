import type { Listener } from "@svcproxy/host";
import type { Family } from "@svcproxy/topology";
import type { TableChange } from "../change/table-change.ts";
import type { WrittenTable } from "../change/written-table.ts";
import type { NftMachine } from "../data-path/nft-machine.ts";
import { NftRefused } from "../nft/nft-refused.ts";
import { MemoryTable } from "./memory-table.ts";

/** A machine whose kernel holds our tables in memory and nothing else: no lock, no UDP flows, no sysctls. */
export class MemoryMachine implements NftMachine {
  readonly tables = new Map<Family, MemoryTable>();
  /** How often our tables were read. */
  looks = 0;
  /** What was carried out. */
  readonly committed: (readonly TableChange[])[] = [];
  /** What listens on ports; nobody may see who it is. */
  listeners: readonly Listener[] = [];
  /** What another program does as soon as something was carried out. */
  afterCommit: () => void = () => {};
  /** Whether the machine refuses a change for a reason that is not that somebody was faster. */
  refuses: (change: TableChange) => boolean = () => false;

  table(family: Family): MemoryTable {
    const table = this.tables.get(family) ?? new MemoryTable(family);
    this.tables.set(family, table);
    return table;
  }

  async open() {
    return {
      readListeners: async () => this.listeners,
      readHolders: async () => new Map(),
      requireSupport: async () => {},
      read: async (family: Family) => {
        this.looks += 1;
        return this.table(family).read();
      },
      commit: async (changes: readonly TableChange[]) => {
        this.#commit(changes);
        this.afterCommit();
      },
      isAsWritten: async (written: WrittenTable) => this.table(written.family).isAsWritten(written),
      settleUdp: async () => 0,
      renewLease: async () => {},
      readUnremembered: async () => 0,
      lostGuard: async () => undefined,
      problemsWith: async () => [],
      async [Symbol.asyncDispose]() {},
    };
  }

  #commit(changes: readonly TableChange[]): void {
    if (changes.some((change) => this.refuses(change))) {
      throw new NftRefused("Cannot change our tables: refused for a test", { isMismatch: false });
    }
    const before = new Map(Array.from(this.tables, ([family, table]) => [family, table.read()]));
    try {
      for (const change of changes) {
        if (change.kind === "removal") this.table(change.family).remove();
        else this.table(change.transaction.family).run(change.transaction);
      }
    } catch (cause) {
      for (const [family, table] of before) this.tables.set(family, new MemoryTable(family, table));
      throw new NftRefused(cause instanceof Error ? cause.message : String(cause), { isMismatch: true, cause });
    }
    this.committed.push(changes);
  }
}
