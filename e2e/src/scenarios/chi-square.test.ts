import { expect, test } from "vitest";
import { chiSquare, chiSquareTail } from "./chi-square.ts";

test.for([
  // Tables of the distribution: the values that are exceeded with this chance.
  { value: 3.841, degrees: 1, chance: 0.05 },
  { value: 10.828, degrees: 1, chance: 0.001 },
  { value: 5.991, degrees: 2, chance: 0.05 },
  { value: 7.815, degrees: 3, chance: 0.05 },
  { value: 16.266, degrees: 3, chance: 0.001 },
  { value: 9.488, degrees: 4, chance: 0.05 },
  { value: 22.458, degrees: 6, chance: 0.001 },
  { value: 18.307, degrees: 10, chance: 0.05 },
])("$value with $degrees degrees of freedom is exceeded with a chance of $chance", ({ value, degrees, chance }) => {
  expect(chiSquareTail(value, degrees) / chance).toBeCloseTo(1, 2);
});

test("equal counts are as likely as can be, and 600 to 400 is all but impossible", () => {
  expect(chiSquareTail(chiSquare([500, 500]), 1)).toBeCloseTo(1, 6);
  expect(chiSquareTail(chiSquare([600, 400]), 1)).toBeLessThan(1e-8);
  expect(chiSquareTail(chiSquare([540, 460]), 1)).toBeGreaterThan(1e-3);
});
