import type { Difference } from "@svcproxy/host";
import { formatElement, tableName } from "../table/format-table.ts";
import type { ElementValue } from "../table/nft-table.ts";
import type { Draft } from "./draft-change.ts";

/** What a table has and the plan has not, and the reverse. What nothing leads to is no difference. */
export function describeDraft({ family, table, change }: Draft): readonly Difference[] {
  if (change === undefined) return [];
  const name = tableName(family);
  const at = (place: string) => `IPv${family} ${place}`;
  if (change.kind === "removal") {
    return [
      {
        kind: "extra-table",
        place: at("table"),
        text: `table ${name} is there, and the plan has no service in this family`,
      },
    ];
  }
  const { transaction } = change;
  if (transaction.createsTable) {
    const count = transaction.addedElements.get("services")?.size ?? 0;
    return [
      {
        kind: "missing-table",
        place: at("table"),
        text: `table ${name} is not there; the plan has ${count} addresses of services`,
      },
    ];
  }
  const differences: Difference[] = [];
  const tell = (kind: string, place: string, text: string) => differences.push({ kind, place: at(place), text });
  const anew = new Set(transaction.removedCollections.map((collection) => collection.name));
  for (const { kind, name: collection } of transaction.addedCollections) {
    if (anew.has(collection))
      tell(`changed-${kind}`, collection, `${kind} ${collection} is declared otherwise than planned`);
    else tell(`missing-${kind}`, collection, `${kind} ${collection} is not there`);
  }
  const there = new Map(table?.chains.map((chain) => [chain.name, chain]));
  for (const chain of [...transaction.addedChains, ...transaction.rewrittenChains]) {
    const now = there.get(chain.name);
    if (now === undefined) tell("missing-chain", chain.name, `chain ${chain.name} is not there`);
    else
      tell(
        "changed-chain",
        chain.name,
        [`chain ${chain.name} has other rules:`, ...diffLines(now.rules, chain.rules)].join("\n"),
      );
  }
  for (const chain of transaction.removedChains) {
    if (!transaction.addedChains.some((added) => added.name === chain)) {
      tell("extra-chain", chain, `chain ${chain} is not in the plan, and the kernel calls it`);
    }
  }
  for (const [collection, added] of transaction.addedElements) {
    if (anew.has(collection) || transaction.addedCollections.some((made) => made.name === collection)) continue;
    for (const [key, value] of added) {
      const now = table?.elements.get(collection)?.get(key);
      const planned = `+ ${formatElement(key, value)}`;
      if (now === undefined)
        tell("missing-element", `${collection} ${key}`, `${subject(collection, value)} is not there:\n${planned}`);
      else
        tell(
          "changed-element",
          `${collection} ${key}`,
          `${subject(collection, value)} is another:\n- ${formatElement(key, now)}\n${planned}`,
        );
    }
  }
  for (const [collection, keys] of transaction.removedElements) {
    const added = transaction.addedElements.get(collection);
    for (const key of keys) {
      if (added?.has(key) === true) continue;
      const now = table?.elements.get(collection)?.get(key);
      tell(
        "extra-element",
        `${collection} ${key}`,
        `element of ${collection} is not in the plan:\n- ${formatElement(key, now)}`,
      );
    }
  }
  return differences;
}

function subject(collection: string, { comment }: ElementValue): string {
  return comment === "" ? `element of ${collection}` : `element of ${collection} (${comment})`;
}

function diffLines(now: readonly string[], planned: readonly string[]): readonly string[] {
  return [...now.map((rule) => `- ${rule}`), ...planned.map((rule) => `+ ${rule}`)];
}
