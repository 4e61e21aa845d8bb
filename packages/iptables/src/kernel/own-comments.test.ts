import { formatSave } from "@svcproxy/rules";
import { exampleTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { compileRules } from "../compile-rules.ts";
import { fullRuleSet } from "../desired-rules.ts";
import { withOwnComments } from "./own-comments.ts";

const plan = planHost(exampleTopology().topology, { host: "cloudos1" });

/** Rules in built-in chains, as they are loaded. */
function hooks(dialect: "document" | "kubernetes"): readonly string[] {
  const text = formatSave(fullRuleSet(withOwnComments(compileRules(plan, { dialect, family: 4 }))));
  return text.split("\n").filter((line) => /^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) /.test(line));
}

test("no jump of ours has a comment that kube-proxy would take it away by, and the chains keep kube-proxy's", () => {
  const jumps = hooks("kubernetes");
  expect(jumps).toHaveLength(12);
  for (const jump of jumps) expect(jump).toMatch(/--comment "svcproxy: kubernetes [a-z -]+" -j KUBE-/);
});

test("rules without comments stay without", () => {
  const rules = hooks("document");
  expect(rules.length).toBeGreaterThan(0);
  expect(rules.join("\n")).not.toContain("--comment");
});
