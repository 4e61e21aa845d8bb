import fc from "fast-check";
import { expect, test } from "vitest";
import { SlotPool } from "./slot-pool.ts";

interface Borrower {
  slots: number;
  used: number;
  answer: number | undefined;
  called: boolean;
}

function newBorrower(): Borrower {
  return { slots: 0, used: 0, answer: undefined, called: false };
}

test("never lends more than there is, and refuses only when every slot is in use", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.record({ who: fc.integer({ min: 0, max: 2 }), takes: fc.boolean() }), { maxLength: 200 }),
      (size, steps) => {
        const borrowers = [newBorrower(), newBorrower(), newBorrower()];
        const pool = new SlotPool<Borrower>({
          size,
          callBack: (from) => {
            from.called = true;
          },
          grant: (to, slots) => {
            to.answer = slots;
          },
        });
        const used = () => borrowers.reduce((sum, borrower) => sum + borrower.used, 0);
        for (const { who, takes } of steps) {
          const borrower = borrowers[who];
          if (borrower === undefined) continue;
          if (!takes) borrower.used = Math.max(0, borrower.used - 1);
          else if (borrower.used < borrower.slots) borrower.used++;
          else {
            borrower.answer = undefined;
            pool.want(
              borrower,
              borrowers.filter((other) => other !== borrower),
            );
            for (const other of borrowers.filter(({ called }) => called)) {
              other.called = false;
              pool.gaveBack(other, other.slots - other.used);
            }
            if (borrower.answer === 0) expect(used()).toBe(size);
            else borrower.used++;
          }
          expect(borrowers.reduce((sum, { slots }) => sum + slots, 0)).toBeLessThanOrEqual(size);
          expect(used()).toBeLessThanOrEqual(size);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test("a worker that dies gives back what it had", () => {
  const [dead, alive] = [newBorrower(), newBorrower()];
  const pool = new SlotPool<Borrower>({
    size: 4,
    callBack: () => {},
    grant: (to, slots) => {
      to.answer = slots;
    },
  });
  pool.want(dead, [alive]);
  expect(dead.slots).toBe(4);
  pool.want(alive, [dead]); // asks it to give back, and waits
  expect(alive.answer).toBeUndefined();
  pool.gone(dead);
  expect(alive.answer).toBe(4);
});
