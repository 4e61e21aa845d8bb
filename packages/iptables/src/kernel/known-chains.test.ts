import { formatSave, parseSave } from "@svcproxy/rules";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compileRules } from "../compile-rules.ts";
import { fullRuleSet } from "../desired-rules.ts";
import { listDifferences } from "./differences.ts";
import { findDifference } from "./find-difference.ts";
import { readBesidePlan } from "./known-chains.ts";
import { formatChange } from "./table-change.ts";
import { planOf } from "./testing/backend-contract.ts";

const options = { family: 4, file: "iptables-save" } as const;

function compiled(endpoints: string[] = ["a", "b"]) {
  return compileRules(planOf({ endpoints }), { dialect: "kubernetes", family: 4, dispatch: "linear" });
}

function compare(text: string, { planned, read }: { planned: ReturnType<typeof compiled>; read: typeof parseSave }) {
  const { families, changes } = findDifference([read(text, options)], [planned], {});
  return { differences: listDifferences(families), changes: changes.map(formatChange) };
}

test("a chain whose lines were found to mean what the plan says is not read again, and one with other lines is", () => {
  const planned = compiled();
  const text = formatSave(fullRuleSet(planned));
  const read = (lines: string) => readBesidePlan(lines, { ...options, planned });
  const chainsOf = ({ tables }: { tables: ReturnType<typeof read>["tables"] }) =>
    tables.flatMap(({ name, chains }) => chains.map((chain) => ({ ...chain, name: `${name} ${chain.name}` })));
  const ownRules = new Set(chainsOf(planned).flatMap(({ rules }) => rules));
  const recalled = (lines: string) =>
    chainsOf(read(lines)).flatMap(({ name, rules }) => (rules.some((rule) => ownRules.has(rule)) ? [name] : []));
  expect(recalled(text)).toEqual([]);
  compare(text, { planned, read });
  const all = recalled(text);
  expect(all).toEqual(chainsOf(planned).flatMap(({ name, rules }) => (rules.length > 0 ? [name] : [])));
  const [lost = ""] = text.match(/^-A KUBE-SEP-.* DNAT .*\n/m) ?? [];
  const changed = lost.split(" ")[1];
  expect(recalled(text.replace(lost, ""))).toEqual(all.filter((name) => name !== `nat ${changed}`));
});

test("whatever others make of the lines, what is found is what reading all of them finds", () => {
  const planned = compiled();
  const before = formatSave(fullRuleSet(planned));
  const beside = (lines: string) => readBesidePlan(lines, { ...options, planned });
  compare(before, { planned, read: beside });
  const lines = before.split("\n");
  const places = lines.flatMap((line, index) => (line.startsWith("-A") ? [index] : []));
  const edit = fc.record({
    at: fc.constantFrom(...places),
    to: fc.constantFrom(...places),
    kind: fc.constantFrom("drop", "double", "swap", "comment", "target"),
  });
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 4 }), (edits) => {
      const edited = [...lines];
      for (const { at, to, kind } of edits) {
        const line = edited[at] ?? "";
        if (kind === "drop") edited[at] = "";
        if (kind === "double") edited[at] = `${line}\n${line}`;
        if (kind === "swap") [edited[at], edited[to]] = [edited[to] ?? "", line];
        if (kind === "comment") edited[at] = `${line} -m comment --comment "of\n${edited[to]}"`;
        if (kind === "target") edited[at] = line.replace(/ -j .*/, " -j RETURN");
      }
      const text = edited
        .filter((line) => line !== "")
        .join("\n")
        .replace(/(?<!\n)$/, "\n");
      const expected = outcomeOf(() => compare(text, { planned, read: parseSave }));
      expect(outcomeOf(() => compare(text, { planned, read: beside }))).toEqual(expected);
      expect(outcomeOf(() => compare(text, { planned, read: beside }))).toEqual(expected);
    }),
    { numRuns: 100 },
  );
});

test("where the plan changes behind a chain's first rule, its lines mean something else", () => {
  const planned = compiled();
  const beside = (rules: typeof planned) => (lines: string) => readBesidePlan(lines, { ...options, planned: rules });
  const text = formatSave(fullRuleSet(planned));
  expect(compare(text, { planned, read: beside(planned) }).differences).toEqual([]);
  const shortened = planned.tables.map(({ name, chains }) => ({
    ...{ name, chains: chains.map((chain) => ({ ...chain, rules: chain.rules.slice(0, 1) })) },
  }));
  const next = { ...planned, tables: shortened };
  const found = compare(text, { planned: next, read: beside(next) });
  expect(found).toEqual(compare(text, { planned: next, read: parseSave }));
  expect(found.differences).not.toEqual([]);
});

function outcomeOf(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return String(error);
  }
}
