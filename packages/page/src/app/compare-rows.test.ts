import { expect, test } from "vitest";
import { compareElements, compareRules } from "./compare-rows.ts";

const rule = (chain: string, text: string, packets = 0) => ({
  ...{ family: 4 as const, table: "nat", chain },
  number: 1,
  rule: text,
  packets,
});

test("rules that only some hosts have come first; what all have stands together by chain", () => {
  const compared = compareRules([
    [rule("SVC", "-j A", 3), rule("SEP", "-j DNAT"), rule("SVC", "-j B")],
    [rule("SVC", "-j A", 5), rule("SVC", "-j B"), rule("SVC", "-j C"), rule("SEP", "-j DNAT")],
  ]);
  expect(compared.map(({ place, text, differs }) => `${place} ${text} ${differs}`)).toEqual([
    "nat SVC -j C true",
    "nat SVC -j A false",
    "nat SVC -j B false",
    "nat SEP -j DNAT false",
  ]);
  expect(compared[0]?.cells[0]).toBeUndefined();
  expect(compared[1]?.cells.map((cell) => cell?.packets)).toEqual([3, 5]);
});

test("a rule that stands twice on one host and once on another differs", () => {
  const compared = compareRules([[rule("SVC", "-j A"), rule("SVC", "-j A")], [rule("SVC", "-j A")]]);
  expect(compared.map(({ differs }) => differs)).toEqual([true, false]);
});

test("elements are told apart by map and by what they say", () => {
  const element = (set: string, text: string) => ({
    family: 4 as const,
    table: "ip t",
    set,
    element: text,
    comment: "shop/web",
  });
  const compared = compareElements([[element("a", "1 : 2")], [element("b", "1 : 2")]]);
  expect(compared.map(({ place, comment }) => `${place} ${comment}`)).toEqual(["ip t @a shop/web", "ip t @b shop/web"]);
});
