import type { Chain } from "../table/nft-table.ts";
import type { TableChange } from "./table-change.ts";
import { sizeOf, type Transaction } from "./transaction.ts";

/**
 * The runs of nft that carry changes out, one after the other: chains that nothing leads to yet come first. A packet that is in the
 * middle of our rules when a transaction is committed goes on by the old rules, but finds the new elements of maps; a chain that came
 * with them would be empty for it, and it would leave our table as it came.
 */
export function commitSteps(changes: readonly TableChange[]): readonly (readonly TableChange[])[] {
  const preparations: TableChange[] = [];
  const rest = changes.map((change): TableChange => {
    if (change.kind === "removal") return change;
    const { preparation, transaction } = splitPreparation(change.transaction);
    if (preparation === undefined) return change;
    preparations.push({ kind: "transaction", transaction: preparation });
    return { kind: "transaction", transaction };
  });
  const needed = rest.filter(
    (change) => change.kind === "removal" || change.transaction.createsTable || sizeOf(change.transaction) > 0,
  );
  return [preparations, needed].filter((step) => step.length > 0);
}

function splitPreparation(transaction: Transaction): {
  readonly preparation: Transaction | undefined;
  readonly transaction: Transaction;
} {
  const anew = new Set(transaction.removedCollections.map(({ name }) => name));
  // What the kernel calls by itself has an effect at once, and so has what takes the place of something.
  const isAlone = ({ name, hook, rules }: Chain) =>
    hook === undefined &&
    !transaction.removedChains.has(name) &&
    !rules.some((rule) => [...anew].some((map) => rule.includes(`@${map}`)));
  const addedChains = transaction.addedChains.filter(isAlone);
  if (transaction.createsTable || addedChains.length === 0) return { preparation: undefined, transaction };
  const addedCollections = transaction.addedCollections.filter(({ name }) => !anew.has(name));
  return {
    preparation: {
      ...{ family: transaction.family, createsTable: false, addedCollections, addedChains, removedCollections: [] },
      ...{ removedChains: NONE, rewrittenChains: [], removedElements: NO_ELEMENTS, addedElements: NO_ELEMENTS },
    },
    transaction: {
      ...transaction,
      addedChains: transaction.addedChains.filter((chain) => !addedChains.includes(chain)),
      addedCollections: transaction.addedCollections.filter((collection) => !addedCollections.includes(collection)),
    },
  };
}

const NONE: ReadonlySet<string> = new Set();
const NO_ELEMENTS = new Map<string, never>();
