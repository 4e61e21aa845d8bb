import { expect, test } from "vitest";
import { joinWritten, type WrittenTable } from "./written-table.ts";

const collection = {
  name: "services",
  kind: "map",
  typeOf: "ip daddr : meta priority",
  comment: "",
  counts: false,
} as const;

function written(added: Readonly<Record<string, string>>, removed: readonly string[] = []): WrittenTable {
  const elements = new Map(Object.entries(added).map(([key, data]) => [key, { data, comment: "" }]));
  return {
    family: 4,
    collections: [collection],
    chains: [],
    added: new Map([["services", elements]]),
    removed: new Map([["services", new Set(removed)]]),
  };
}

function told({ added, removed }: WrittenTable) {
  const elements = Array.from(added.get("services") ?? [], ([key, { data }]) => `${key}=${data}`);
  return [elements, [...(removed.get("services") ?? [])]];
}

test("of two changes the later one counts for each element", () => {
  const first = written({ a: "1", b: "1" }, ["x", "y"]);
  const second = written({ b: "2", x: "2" }, ["a"]);
  expect(told(joinWritten(first, second))).toEqual([
    ["b=2", "x=2"],
    ["y", "a"],
  ]);
  expect(told(first)).toEqual([
    ["a=1", "b=1"],
    ["x", "y"],
  ]);
});

test("what a later change removed as a whole is not looked for any more", () => {
  const first = written({ a: "1" });
  expect(told(joinWritten(first, { ...written({}), collections: [] }))).toEqual([[], []]);
});

test("what came and went again leaves no list without an element, which nft takes for a syntax error", () => {
  const { added, removed } = joinWritten(written({ a: "1" }), written({}, ["a"]));
  expect([added.size, told({ ...written({}), removed })]).toEqual([0, [[], ["a"]]]);
  const back = joinWritten(written({}, ["a"]), written({ a: "2" }));
  expect([back.removed.size, told(back)]).toEqual([0, [["a=2"], []]]);
});
