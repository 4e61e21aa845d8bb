import { expect, test } from "vitest";
import { END_REASONS } from "../policy/counters.ts";
import { terminationOf } from "./termination.ts";

test.for([
  { reason: "done", opened: true, halfClosed: true, letters: "--" },
  { reason: "client-reset", opened: true, halfClosed: false, letters: "CD" },
  { reason: "endpoint-reset", opened: true, halfClosed: true, letters: "SL" },
  { reason: "dial-failed", opened: false, halfClosed: false, letters: "SC" },
  { reason: "max-per-client", opened: false, halfClosed: false, letters: "PC" },
  { reason: "idle-timeout", opened: true, halfClosed: false, letters: "cD" },
  { reason: "removed", opened: true, halfClosed: false, letters: "KD" },
] as const)("$reason is $letters", ({ reason, letters, ...when }) => {
  expect(terminationOf(reason, when)).toBe(letters);
});

test("every reason has its two letters", () => {
  for (const reason of END_REASONS) {
    expect(terminationOf(reason, { opened: true, halfClosed: false })).toMatch(/^(--|[CSPRDKc][CDL])$/);
  }
});
