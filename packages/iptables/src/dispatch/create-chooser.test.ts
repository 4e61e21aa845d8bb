import type { Rule } from "@svcproxy/rules";
import { expect, test } from "vitest";
import { kubernetesShares } from "../kubernetes/kubernetes-matches.ts";
import { jump } from "../rule-parts/targets.ts";
import { type Choice, type Chooser, createChooser } from "./create-chooser.ts";

const choicesOf = (count: number, prefix = "KUBE-SEP-"): Choice[] =>
  Array.from({ length: count }, (_, index) => ({ name: prefix + index, target: jump(prefix + index) }));

/** The chance of each chain that leads to an endpoint, and the most rules that a packet walks past. */
function walk(rules: readonly Rule[], chooser: Chooser): { chances: Map<string, number>; longest: number } {
  const chances = new Map<string, number>();
  let longest = 0;
  const visit = (chain: readonly Rule[], chance: number, steps: number): void => {
    let reached = chance;
    for (const [index, { matches, target }] of chain.entries()) {
      if (target.kind !== "jump") throw new TypeError(target.kind);
      const [match] = matches;
      const threshold = match?.kind === "statistic" && match.mode === "random" ? match.threshold : 2 ** 31;
      const taken = (reached * threshold) / 2 ** 31;
      reached -= taken;
      const group = chooser.groups.get(target.chain);
      if (group !== undefined) visit(group.rules, taken, steps + index + 1);
      else {
        chances.set(target.chain, (chances.get(target.chain) ?? 0) + taken);
        longest = Math.max(longest, steps + index + 1);
      }
    }
    expect(reached).toBe(0);
  };
  visit(rules, 1, 0);
  return { chances, longest };
}

test.for([1, 2, 4, 5, 16, 17, 100, 257, 1000, 5000])("a tree gives each of %d endpoints its share to 1e-9", (count) => {
  const chooser = createChooser("tree");
  const { chances, longest } = walk(chooser.choose(choicesOf(count)), chooser);
  expect([...chances.keys()].sort()).toEqual(
    choicesOf(count)
      .map(({ name }) => name)
      .sort(),
  );
  for (const chance of chances.values()) expect(Math.abs(chance - 1 / count)).toBeLessThan(1e-9);
  expect(longest).toBeLessThanOrEqual(4 * Math.max(1, Math.ceil(Math.log(count) / Math.log(4))));
});

test("one by one up to 128 endpoints, a tree above, unless one of them is asked for", () => {
  const depth = (mode: "auto" | "linear" | "tree", count: number) => {
    const chooser = createChooser(mode);
    chooser.choose(choicesOf(count));
    return chooser.groups.size > 0;
  };
  expect([depth("auto", 128), depth("auto", 129), depth("linear", 129), depth("tree", 5)]).toEqual([
    false,
    true,
    false,
    true,
  ]);
});

test("two services with the same endpoints share the chains below", () => {
  const chooser = createChooser("tree");
  const rules = chooser.choose(choicesOf(100));
  const { size } = chooser.groups;
  expect(chooser.choose(choicesOf(100))).toEqual(rules);
  expect(chooser.groups.size).toBe(size);
});

test.for(["auto", "linear", "tree"] as const)("%s: few endpoints are chosen as the dialect writes it", (mode) => {
  const texts = createChooser(mode, kubernetesShares)
    .choose(choicesOf(3))
    .flatMap(({ matches }) => matches)
    .map((match) => (match.kind === "statistic" && match.mode === "random" ? match.text : match.kind));
  expect(texts).toEqual(["0.3333333333", "0.5000000000"]);
});
