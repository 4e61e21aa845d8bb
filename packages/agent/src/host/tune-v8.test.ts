import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { collectGarbage } from "./tune-v8.ts";

test("what nobody holds is gone at once", async () => {
  const garbage = new WeakRef({ large: new Array(1_000).fill("text") });
  // What a WeakRef was asked for, or made of, stays until the end of the turn.
  await turn();
  collectGarbage();
  expect(garbage.deref()).toBeUndefined();
});
