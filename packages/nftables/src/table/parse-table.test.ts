import { contractPlan } from "@svcproxy/host/testing";
import { expect, test } from "vitest";
import { compileTable } from "../compile-table.ts";
import { formatTable } from "./format-table.ts";
import { parseTable } from "./parse-table.ts";

test.for([4, 6] as const)("IPv%i: protocols that are numbers are read as those that have names", (family) => {
  const { table } = compileTable(contractPlan(), { family, countsTraffic: true });
  const named = [...formatTable(table)].join("");
  const numbered = named
    .replaceAll(/ \. tcp \. (?=\d)/g, " . 6 . ")
    .replaceAll(/ \. udp \. (?=\d)/g, " . 17 . ")
    .replaceAll(/^(\t+)tcp \. (?=\d)/gm, "$16 . ")
    .replaceAll("meta l4proto tcp", "meta l4proto 6")
    .replaceAll("meta l4proto { udp, sctp }", "meta l4proto { 17, 132 }");
  expect(numbered).toContain("6 . 30080");
  expect(parseTable(numbered, family)).toEqual(table);
  expect(parseTable(named, family)).toEqual(table);
});
