import { expect, test } from "vitest";
import { nearestWord } from "./nearest-word.ts";

const KNOWN = ["clusterIP", "clusterIPs", "ports", "endpoints", "externalIPs"];

test.for([
  ["clusterip", "clusterIP"],
  ["port", "ports"],
  ["endpionts", "endpoints"],
  ["enpoints", "endpoints"],
  ["externalIps", "externalIPs"],
  ["colour", undefined],
  ["x", undefined],
] as const)("%s is nearest to %s", ([word, nearest]) => {
  expect(nearestWord(word, KNOWN)).toBe(nearest);
});
