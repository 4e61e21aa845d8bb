import type { Family } from "@svcproxy/topology";
import { affinityMapOf, isWrittenByPackets } from "../compile/collections.ts";
import { pickingChain, pickingChainName } from "../compile/picking-chains.ts";
import type { TableSettings } from "../compile/table-settings.ts";
import { RESTRICTED_BIT } from "../compile/treatment.ts";
import type { WantedPort } from "../compile/wanted-port.ts";
import { affinityFrame, fixedFrame, type TableFrame, timeoutsOf, type WantedTable } from "../compile/wanted-table.ts";
import { parseClassid } from "../table/classid.ts";
import { entryOf } from "../table/entry-of.ts";
import { addElements, collectElements, type Elements, type NftTable } from "../table/nft-table.ts";
import { elementsOf, type KnownPort, KnownPorts } from "./known-ports.ts";
import { Leftover } from "./leftover.ts";
import { NumberPool } from "./number-pool.ts";
import { type NumberedPort, numberGroup, type OldGroup, pickingOf } from "./number-port.ts";
import { OldGroups } from "./old-groups.ts";
import { TableMirror } from "./table-mirror.ts";
import { isEmpty, type Transaction } from "./transaction.ts";
import { TransactionBuilder } from "./transaction-builder.ts";
import type { WrittenTable } from "./written-table.ts";

/** How a table is brought to a plan: to be committed once it is carried out, or else abandoned. */
export interface PlannedChange {
  /** Additions and the switch to them, and the removal of what the change before left over. */
  readonly transaction: Transaction;
  /** What no packet is led to once that is in. */
  readonly leftover: Leftover;
  /** Ports that no number is left for. */
  readonly unnumbered: readonly WantedPort[];
  /** Numbers that can be given again once the leftover is removed. */
  readonly freedNumbers: ReadonlySet<number>;
  /** The ports that it is about, as they were and as they are to be; undefined: all. */
  readonly some?: { readonly before: readonly KnownPort[]; readonly after: readonly KnownPort[] };
}

/**
 * Knows what the kernel has of our table in one family, and plans how to get from there to what is wanted. Each plan is committed or
 * abandoned before the next; where the kernel turns out to have something else, the table is read again, for another keeper.
 */
export class TableKeeper {
  readonly #family: Family;
  readonly #mirror: TableMirror;
  #settings: TableSettings | undefined;
  #ports = new KnownPorts();
  #pool = new NumberPool();
  #leftover = new Leftover();
  #freedNumbers: ReadonlySet<number> = new Set();

  /** @param table as it was read; undefined: there is none */
  constructor(family: Family, table?: NftTable) {
    this.#family = family;
    this.#mirror = new TableMirror(table);
  }

  get hasLeftover(): boolean {
    return !this.#leftover.isEmpty;
  }

  /** Whether numbers can be given again once that is removed. */
  get freesNumbers(): boolean {
    return this.#freedNumbers.size > 0;
  }

  /** Whether clients of some service stay with their endpoint. */
  get isSticky(): boolean {
    return this.#mirror.collections.has("unremembered");
  }

  /** What it takes from all that the kernel has to the whole table. */
  planAll(wanted: WantedTable): PlannedChange {
    const { settings } = wanted;
    const old = new OldGroups(this.#mirror);
    this.#settings = settings;
    this.#ports = new KnownPorts();
    this.#pool = new NumberPool(old.numbers);
    const unnumbered = wanted.ports.filter((port) => {
      const cluster = old.claim(port, "cluster");
      return this.#number(port, { cluster, local: old.claim(port, "local", cluster?.number) }) === undefined;
    });
    const timeouts = [...timeoutsOf(wanted.ports)].map((timeout, index) =>
      affinityFrame(timeout, { settings, isFirst: index === 0 }),
    );
    const frame = joinFrames([fixedFrame(settings), ...timeouts, this.#pickingFrame(this.#ports.values())]);
    const elements = collectElements([...wanted.nodeElements, ...frame.elements]);
    for (const known of this.#ports.values()) addElements(elements, elementsOf(known));
    const builder = this.#builder();
    for (const collection of frame.collections) builder.wantCollection(collection);
    for (const chain of frame.chains) builder.wantChain(chain);
    for (const [collection, entries] of elements) builder.wantElements(collection, entries);
    const freedNumbers = new Set(old.numbers);
    if (freedNumbers.size > 0) {
      for (const { numbers } of this.#ports.values()) for (const live of numbersOf(numbers)) freedNumbers.delete(live);
    }
    this.#removeSurplus(builder, { frame, elements, freedNumbers });
    return { transaction: builder.build(), leftover: builder.later, unnumbered, freedNumbers };
  }

  /**
   * The same where only some services have changed, compared with what is known of them.
   *
   * @param ports all that these services want; the settings of the table are those of the last `planAll`
   */
  planSome(services: Iterable<string>, ports: readonly WantedPort[]): PlannedChange {
    const before = new Map<string, KnownPort>();
    for (const service of services) {
      for (const known of this.#ports.removeService(service)) before.set(known.wanted.id, known);
    }
    const unnumbered: WantedPort[] = [];
    const after: KnownPort[] = [];
    for (const port of ports) {
      const known = this.#number(port, before.get(port.id)?.numbers ?? {});
      if (known === undefined) unnumbered.push(port);
      else after.push(known);
    }
    const builder = this.#builder();
    const frame = joinFrames([...this.#missingAffinity(after), this.#pickingFrame(after)]);
    for (const collection of frame.collections) builder.wantCollection(collection);
    for (const chain of frame.chains) builder.wantChain(chain);
    const wanted = after.flatMap(elementsOf);
    for (const element of [...frame.elements, ...wanted]) builder.wantElement(element);
    const live = new Set(after.flatMap(({ numbers }) => numbersOf(numbers)));
    const freedNumbers = new Set(
      [...before.values()].flatMap(({ numbers }) => numbersOf(numbers)).filter((number) => !live.has(number)),
    );
    const elements = collectElements(wanted);
    for (const { collection, key } of [...before.values()].flatMap(elementsOf)) {
      if (elements.get(collection)?.has(key) === true || this.#ports.shares(collection, key)) continue;
      builder.removeElement(collection, key, whenToRemove(collection, key, { elements, freedNumbers }));
    }
    const some = { before: [...before.values()], after };
    return { transaction: builder.build(), leftover: builder.later, unnumbered, freedNumbers, some };
  }

  /** The removal of what the last change left over. */
  planLeftover(): PlannedChange {
    return {
      transaction: this.#builder().build({ withLeftover: true }),
      leftover: new Leftover(),
      unnumbered: [],
      freedNumbers: new Set(),
    };
  }

  /** The kernel has taken it. */
  commit({ transaction, leftover, freedNumbers }: PlannedChange): void {
    this.#mirror.commit(transaction);
    this.#leftover = leftover;
    if (isEmpty(transaction)) {
      this.#freedNumbers = new Set([...this.#freedNumbers, ...freedNumbers]);
      return;
    }
    // What led to them went with it.
    for (const number of this.#freedNumbers) this.#pool.release(number);
    this.#freedNumbers = freedNumbers;
  }

  /** What the kernel has by a change that was committed; of a table that was made with it, the elements are left out. */
  written({ transaction }: PlannedChange): WrittenTable {
    const { createsTable, addedElements, removedElements } = transaction;
    const removed = Array.from(
      removedElements,
      ([name, keys]) => [name, new Set([...keys].filter((key) => addedElements.get(name)?.has(key) !== true))] as const,
    );
    return {
      family: this.#family,
      collections: [...this.#mirror.collections.values()],
      chains: [...this.#mirror.chains.values()],
      added: createsTable ? new Map() : addedElements,
      removed: new Map(removed),
    };
  }

  /** The kernel has what it had, after a plan for some services. */
  abandon({ some }: PlannedChange): void {
    if (some === undefined) throw new TypeError("a plan for the whole table cannot be abandoned");
    for (const { wanted } of some.after) this.#ports.removeService(wanted.service);
    for (const { wanted, numbers } of some.before) this.#ports.add(wanted, numbers);
    const known = new Set(some.before.flatMap(({ numbers }) => numbersOf(numbers)));
    for (const number of some.after.flatMap(({ numbers }) => numbersOf(numbers))) {
      if (!known.has(number)) this.#pool.release(number);
    }
  }

  #builder(): TransactionBuilder {
    const leftover = new Leftover(this.#leftover);
    return new TransactionBuilder({ family: this.#family, mirror: this.#mirror, leftover });
  }

  /** @returns undefined where there is no number for one of its groups */
  #number(
    port: WantedPort,
    old: { readonly cluster?: OldGroup | undefined; readonly local?: OldGroup | undefined },
  ): KnownPort | undefined {
    const numbers: { cluster?: NumberedPort["cluster"]; local?: NumberedPort["local"] } = {};
    for (const which of ["cluster", "local"] as const) {
      const group = port[which];
      if (group === undefined) continue;
      const numbered = numberGroup(group, { old: old[which], pool: this.#pool });
      if (numbered === undefined) return undefined;
      numbers[which] = numbered;
    }
    return this.#ports.add(port, { cluster: numbers.cluster, local: numbers.local });
  }

  /** The chains that the ports' groups go to. */
  #pickingFrame(ports: Iterable<KnownPort>): TableFrame {
    const chains = new Map<string, TableFrame["chains"][number]>();
    for (const { wanted } of ports) {
      for (const group of [wanted.cluster, wanted.local]) {
        const picking = group === undefined ? undefined : pickingOf(group);
        if (picking === undefined) continue;
        // One for thousands of groups, and its rules are not to be written for each.
        entryOf(chains, pickingChainName(picking), () => pickingChain(picking, this.#family));
      }
    }
    return { collections: [], chains: [...chains.values()], elements: [] };
  }

  /** What ports need for a timeout of session affinity that none had before. */
  #missingAffinity(ports: readonly KnownPort[]): readonly TableFrame[] {
    const settings = this.#settings;
    if (settings === undefined) throw new TypeError("planSome before planAll");
    const timeouts = timeoutsOf(ports.map(({ wanted }) => wanted));
    return [...timeouts]
      .filter((timeout) => !this.#mirror.collections.has(affinityMapOf(timeout)))
      .map((timeout, index) =>
        affinityFrame(timeout, { settings, isFirst: index === 0 && !this.#mirror.collections.has("slots") }),
      );
  }

  #removeSurplus(builder: TransactionBuilder, { frame, ...wanted }: Wanted & { readonly frame: TableFrame }): void {
    const names = new Set([...frame.collections, ...frame.chains].map(({ name }) => name));
    for (const [name, collection] of this.#mirror.collections) {
      if (!names.has(name)) builder.removeCollection(collection);
      else if (!isWrittenByPackets(name)) {
        const entries = wanted.elements.get(name);
        for (const key of this.#mirror.elementsOf(name).keys()) {
          if (entries?.has(key) === true) continue;
          builder.removeElement(name, key, whenToRemove(name, key, wanted));
        }
      }
    }
    for (const [name, chain] of this.#mirror.chains) if (!names.has(name)) builder.removeChain(chain);
  }
}

interface Wanted {
  /** What is wanted; of some services, where only they are looked at. */
  readonly elements: Elements;
  readonly freedNumbers: ReadonlySet<number>;
}

/** Whether an element that is not wanted still leads packets somewhere: then it goes with the switch. */
function whenToRemove(collection: string, key: string, { elements, freedNumbers }: Wanted): "now" | "later" {
  switch (collection) {
    case "groups":
    case "local-groups": {
      const group = parseClassid(key)?.high;
      return group !== undefined && freedNumbers.has(group) ? "later" : "now";
    }
    case "allowed": {
      const frontend = key.slice(0, key.lastIndexOf(" . "));
      const kind = parseClassid(elements.get("services")?.get(frontend)?.data ?? "")?.low ?? 0;
      return (kind & RESTRICTED_BIT) === 0 ? "later" : "now";
    }
    case "slots":
    case "hairpins":
      return "later";
    default:
      return /endpoints-/.test(collection) ? "later" : "now";
  }
}

function joinFrames(frames: readonly TableFrame[]): TableFrame {
  return {
    collections: frames.flatMap(({ collections }) => collections),
    chains: frames.flatMap(({ chains }) => chains),
    elements: frames.flatMap(({ elements }) => elements),
  };
}

function numbersOf({ cluster, local }: NumberedPort): readonly number[] {
  return [cluster, local].flatMap((group) => group?.number ?? []);
}
