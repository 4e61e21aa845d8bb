import { isWrittenByPackets } from "../compile/collections.ts";
import type { NftTable } from "../table/nft-table.ts";
import { Leftover } from "./leftover.ts";
import { TableMirror } from "./table-mirror.ts";
import type { Transaction } from "./transaction.ts";
import { TransactionBuilder } from "./transaction-builder.ts";

/** What gives a table back what it was, but for what packets wrote. @param now undefined: there is none any more */
export function planRestoration(was: NftTable, now: NftTable | undefined): Transaction {
  const builder = new TransactionBuilder({
    family: was.family,
    mirror: new TableMirror(now),
    leftover: new Leftover(),
  });
  for (const collection of was.collections) builder.wantCollection(collection);
  for (const chain of was.chains) builder.wantChain(chain);
  for (const [collection, entries] of was.elements) {
    if (!isWrittenByPackets(collection)) builder.wantElements(collection, new Map(entries));
  }
  for (const [collection, entries] of now?.elements ?? []) {
    if (isWrittenByPackets(collection)) continue;
    const wanted = was.elements.get(collection);
    for (const key of entries.keys()) if (wanted?.has(key) !== true) builder.removeElement(collection, key, "now");
  }
  // Only what the kernel calls by itself has to go: nothing leads to the rest.
  const chains = new Set(was.chains.map(({ name }) => name));
  for (const chain of now?.chains ?? []) if (!chains.has(chain.name)) builder.removeChain(chain);
  return builder.build();
}
