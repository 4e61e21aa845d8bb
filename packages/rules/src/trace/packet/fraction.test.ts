import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  add,
  chanceOf,
  compareFractions,
  complement,
  formatFraction,
  multiply,
  ONE,
  toNumber,
  ZERO,
} from "./fraction.ts";

const anyChance = fc.integer({ min: 0, max: 2 ** 31 }).map(chanceOf);

describe("a fraction", () => {
  test("is the kernel's 31 bits, reduced", () => {
    expect(formatFraction(chanceOf(2 ** 30))).toBe("1/2");
    expect(formatFraction(chanceOf(715827883))).toBe("715827883/2147483648");
    expect(formatFraction(chanceOf(2 ** 31))).toBe("1");
    expect(chanceOf(0)).toEqual(ZERO);
  });

  test("and what is left of it make one", () => {
    fc.assert(
      fc.property(anyChance, (chance) => {
        expect(add(chance, complement(chance))).toEqual(ONE);
      }),
    );
  });

  test("adds and multiplies without loss, in any order", () => {
    fc.assert(
      fc.property(anyChance, anyChance, anyChance, (a, b, c) => {
        expect(multiply(a, add(b, c))).toEqual(add(multiply(a, b), multiply(a, c)));
        expect(compareFractions(add(a, b), add(b, a))).toBe(0);
      }),
    );
  });

  test("of a thousand draws is still a number", () => {
    let left = ONE;
    for (let count = 1000; count > 1; count--) left = multiply(left, complement(chanceOf(Math.round(2 ** 31 / count))));
    expect(toNumber(left)).toBeCloseTo(0.001, 6);
    expect(formatFraction(left)).toMatch(/^\d+\/2\^\d+$/);
  });
});

test("what ten choices in a row give is written as numbers that any program reads", () => {
  const chance = Array.from({ length: 10 }, () => chanceOf(715827883)).reduce(multiply);
  expect(formatFraction(chance)).toBe(`${715827883n ** 10n}/${2n ** 310n}`);
});
