import { expect, test } from "vitest";
import { renderTable } from "./text-table.ts";

test("columns stand under each other in a terminal, whatever letters names have", () => {
  const rows = [
    ["web", "1"],
    ["日本語", "2"],
    ["cafe\u0301", "3"],
    ["한국", ""],
  ];
  expect(renderTable(["NAME", "N"], rows).split("\n")).toEqual([
    "NAME    N",
    "web     1",
    "日本語  2",
    "cafe\u0301    3",
    "한국    -",
  ]);
});
