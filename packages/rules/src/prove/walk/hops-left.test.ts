import { expect, test } from "vitest";
import { hopsLeft } from "./hops-left.ts";

test.for([
  ["", "enough"],
  ["answer", "enough"],
  [" inc 2", "enough"],
  [" set 1", 1],
  ["refusal set 1 inc 2", 3],
  [" set 2 dec 60", 0],
  [" set 255 inc 9", 255],
  [" dec 1", undefined],
  [" dec 0", "enough"],
  [" dec 1 inc 5", undefined],
  [" set ?", undefined],
  [" set ? set 64", 64],
] as const)("after %j so many hops are left: %s", ([ttl, left]) => {
  expect(hopsLeft(ttl)).toBe(left);
});
