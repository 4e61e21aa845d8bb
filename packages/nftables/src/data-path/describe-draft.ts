import type { Difference } from "@svcproxy/host";
import type { Transaction } from "../change/transaction.ts";
import { formatElement, tableName } from "../table/format-table.ts";
import type { Elements, ElementValue, NftTable } from "../table/nft-table.ts";
import type { Draft } from "./draft-change.ts";

/** What a table has and the plan has not, and the reverse. What nothing leads to is not a difference. */
export function describeDraft({ family, table, change }: Draft): readonly Difference[] {
  if (change === undefined) return [];
  const name = tableName(family);
  const differences =
    change.kind === "removal"
      ? [
          {
            kind: "extra-table",
            place: "table",
            text: `table ${name} is there, and the plan has no service in this family`,
          },
        ]
      : change.transaction.createsTable || table === undefined
        ? [{ kind: "missing-table", place: "table", text: `table ${name} is not there` }]
        : [
            ...(change.transaction.wakesTable === true
              ? [
                  {
                    kind: "dormant-table",
                    place: "table",
                    text: `table ${name} is dormant: the kernel asks none of its chains`,
                  },
                ]
              : []),
            ...describeCollections(change.transaction),
            ...describeChains(change.transaction, table),
            ...describeElements(change.transaction, table),
          ];
  return differences.map((difference) => ({ ...difference, place: `IPv${family} ${difference.place}` }));
}

function describeCollections({ removedCollections, addedCollections }: Transaction): readonly Difference[] {
  const anew = new Set(removedCollections.map(({ name }) => name));
  return addedCollections.map(({ kind, name: place }) =>
    anew.has(place)
      ? { kind: `changed-${kind}`, place, text: `${kind} ${place} is declared otherwise than planned` }
      : { kind: `missing-${kind}`, place, text: `${kind} ${place} is not there` },
  );
}

function describeChains(
  { addedChains, rewrittenChains, removedChains }: Transaction,
  { chains }: NftTable,
): readonly Difference[] {
  const there = new Map(chains.map((chain) => [chain.name, chain.rules]));
  const wanted = [...addedChains, ...rewrittenChains].map(({ name: place, rules }): Difference => {
    const now = there.get(place);
    if (now === undefined) return { kind: "missing-chain", place, text: `chain ${place} is not there` };
    const lines = [
      `chain ${place} is another:`,
      ...now.map((rule) => `- ${rule}`),
      ...rules.map((rule) => `+ ${rule}`),
    ];
    return { kind: "changed-chain", place, text: lines.join("\n") };
  });
  const isWanted = (name: string) => addedChains.some((chain) => chain.name === name);
  const extra = [...removedChains].filter((name) => !isWanted(name));
  return [
    ...wanted,
    ...extra.map((place) => ({
      kind: "extra-chain",
      place,
      text: `chain ${place} is called by the kernel, and not in the plan`,
    })),
  ];
}

const STATES = { missing: "is not there", changed: "is another", extra: "is not in the plan" } as const;

function describeElements(
  { addedElements, removedElements, addedCollections }: Transaction,
  table: NftTable,
): readonly Difference[] {
  const differences: Difference[] = [];
  const ownerOf = ownersOf([table.elements, addedElements]);
  const tell = (
    kind: keyof typeof STATES,
    collection: string,
    { key, now, planned }: { key: string; now?: ElementValue | undefined; planned?: ElementValue },
  ) => {
    const owner = (planned ?? now)?.comment || ownerOf(collection, key);
    const subject = owner === "" ? `element of ${collection}` : `element of ${collection} for ${owner}`;
    const lines = [
      `${subject} ${STATES[kind]}:`,
      ...(now === undefined ? [] : [`- ${formatElement(key, now)}`]),
      ...(planned === undefined ? [] : [`+ ${formatElement(key, planned)}`]),
    ];
    differences.push({ kind: `${kind}-element`, place: `${collection} ${key}`, text: lines.join("\n") });
  };
  const made = new Set(addedCollections.map(({ name }) => name));
  for (const [collection, added] of addedElements) {
    if (made.has(collection)) continue;
    for (const [key, planned] of added) {
      const now = table.elements.get(collection)?.get(key);
      tell(now === undefined ? "missing" : "changed", collection, { key, now, planned });
    }
  }
  for (const [collection, keys] of removedElements) {
    for (const key of keys) {
      if (addedElements.get(collection)?.has(key) === true) continue;
      tell("extra", collection, { key, now: table.elements.get(collection)?.get(key) });
    }
  }
  return differences;
}

const BY_GROUP = /^(groups|local-groups|slots|usable-slots|(sticky-)?endpoints-\w+)$/;

/** Whose an element of a group of endpoints is, as the elements of frontends say: `default/web http`; empty where nothing says it. */
function ownersOf(tables: readonly Elements[]): (collection: string, key: string) => string {
  const owners = new Map<string, string>();
  for (const elements of tables) {
    for (const collection of ["services", "nodeports"]) {
      for (const { data, comment } of elements.get(collection)?.values() ?? []) owners.set(groupIn(data), comment);
    }
    for (const [key, { data }] of elements.get("local-groups") ?? []) {
      owners.set(groupIn(data), owners.get(groupIn(key)) ?? "");
    }
  }
  return (collection, key) => (BY_GROUP.test(collection) ? (owners.get(groupIn(key)) ?? "") : "");
}

/** The group in `group:0 . 1` and `group:kind`. */
function groupIn(text: string): string {
  return text.slice(0, text.indexOf(":"));
}
