import type { NftStatement } from "../nft-rule-set.ts";
import type { NftAskedAt } from "./asked.ts";
import { evaluateExpression, lookUp } from "./evaluate-expression.ts";
import type { StatementEffect, StatementResult } from "./statement-effect.ts";
import type { Value } from "./value.ts";
import { keyOf, setName, withWritten } from "./written-sets.ts";

type Update = Extract<NftStatement, { readonly kind: "update" }>;

/**
 * `add`, `update` and `delete` of a set or map. What is there already keeps its data; a set that is full ends the rule.
 *
 * @see linux net/netfilter/nft_dynset.c
 */
export function runUpdate(update: Update, asked: NftAskedAt): StatementResult {
  if (update.gate !== undefined)
    return { kind: "open", because: `how many packets came before is not known (${update.gate})`, isVolatile: true };
  const set = asked.table.sets.get(update.set);
  if (set === undefined) return surelyUnknown(`the set ${update.set} is not known`);
  if (update.operation !== "delete" && set.size !== undefined && set.elements.length >= set.size)
    return { kind: "open", because: `whether @${update.set} is full is not known`, isVolatile: true };
  return {
    kind: "drawn",
    ways: evaluateExpression(update.key, asked).flatMap(({ chance, values }) => {
      if (values === "none") return [{ chance, effect: { kind: "break" } as const }];
      return dataOf(update, asked).map((data) => ({ chance, effect: written(update, asked, { values, data }) }));
    }),
  };
}

function surelyUnknown(because: string): StatementResult {
  return { kind: "drawn", ways: [{ chance: { numerator: 1n, bits: 0 }, effect: { kind: "unknown", because } }] };
}

/** The data that is written: the first that may be, for a number is drawn elsewhere. */
function dataOf(update: Update, asked: NftAskedAt): readonly (readonly Value[] | "none" | undefined)[] {
  if (update.data === undefined) return [undefined];
  const [first] = evaluateExpression(update.data, asked);
  return [first?.values];
}

function written(
  update: Update,
  asked: NftAskedAt,
  { values, data }: { readonly values: readonly Value[]; readonly data: readonly Value[] | "none" | undefined },
): StatementEffect {
  if (data === "none") return { kind: "break" };
  const before = lookUp({ kind: "named", name: update.set }, values, asked);
  const isKept = update.operation !== "delete" && before.kind === "found";
  const keptData = isKept && before.element.data?.kind === "value" ? before.element.data.parts : undefined;
  const newData = data?.map((value) => (value.kind === "known" ? value.datum : undefined));
  const key = keyOf(values);
  // Where something may have been there before, its data stays, and is not known.
  const isCertain =
    key !== undefined && (data === undefined || before.kind !== "unknown" || update.operation === "delete");
  const given = keptData ?? (newData?.every((part) => part !== undefined) === true ? newData : undefined);
  return {
    kind: "next",
    packet: withWritten(asked.packet, {
      set: setName(asked, update.set),
      key,
      operation: update.operation === "delete" ? "delete" : "add",
      ...(given === undefined ? {} : { data: given }),
      isCertain: isCertain && (data === undefined || given !== undefined),
    }),
  };
}
