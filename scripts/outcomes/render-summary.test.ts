import { expect, test } from "vitest";
import { renderSummary } from "./render-summary.ts";
import { joinOutcomes, NO_OUTCOMES } from "./test-outcomes.ts";

test("the end of the log names what was skipped, what passed at the second try only, and what failed; its last line counts", () => {
  const unit = {
    passed: 5,
    failed: [{ name: "rules a.test.ts > bad", message: "at a.test.ts:3:4\nexpected 1 to be 2\n\n- 2\n+ 1" }],
    secondTry: [{ name: "agent b.test.ts > late", message: "at b.test.ts:1:2\ntimed out\nmore" }],
    skipped: ["lab c.test.ts > lab: needs root"],
  };
  const e2e = { ...NO_OUTCOMES, passed: 2, failed: [{ name: "nft/vxlan hairpin", message: "no answer" }] };
  expect(renderSummary(joinOutcomes([unit, e2e]))).toBe(
    [
      "skipped: lab c.test.ts > lab: needs root",
      "second try: agent b.test.ts > late: at b.test.ts:1:2: timed out",
      "failed: rules a.test.ts > bad",
      "    at a.test.ts:3:4",
      "    expected 1 to be 2",
      "    - 2",
      "    + 1",
      "failed: nft/vxlan hairpin",
      "    no answer",
      "7 passed, 2 failed, 1 skipped",
      "",
    ].join("\n"),
  );
});

test("a long message is cut, and says so", () => {
  const message = Array.from({ length: 500 }, (_, line) => `line ${line}`).join("\n");
  const lines = renderSummary({ ...NO_OUTCOMES, failed: [{ name: "long", message }] }).split("\n");
  expect(lines.length).toBeLessThan(20);
  expect(lines).toContain("    line 0");
  expect(lines.at(-3)).toMatch(/^ {4}\(4\d\d more lines\)$/);
});

test("where all is good the line that counts is the only one", () => {
  expect(renderSummary({ ...NO_OUTCOMES, passed: 5833 })).toBe("5833 passed, 0 failed\n");
});
