import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Ledger } from "./ledger.ts";

const AFFINITY = { key: "default/web#0/4", timeoutMs: 10_000, endpoints: ["a", "b"] };

describe("affinity", () => {
  function choose(
    ledger: Ledger,
    { proposal, nowMs, endpoints = AFFINITY.endpoints }: { proposal: string; nowMs: number; endpoints?: string[] },
  ) {
    const answer = ledger.admit({ client: "c", counted: false, affinity: { ...AFFINITY, endpoints, proposal } }, nowMs);
    return answer.kind === "admitted" ? answer.endpoint : undefined;
  }

  test("lasts for its timeout after the last use", () => {
    const ledger = new Ledger({ maxPerClient: 0 });
    expect(choose(ledger, { proposal: "a", nowMs: 0 })).toBe("a");
    expect(choose(ledger, { proposal: "b", nowMs: 9_999 })).toBe("a");
    expect(choose(ledger, { proposal: "b", nowMs: 19_998 })).toBe("a");
    expect(choose(ledger, { proposal: "b", nowMs: 29_999 })).toBe("b");
  });

  test("gives way where its endpoint cannot be chosen any more", () => {
    const ledger = new Ledger({ maxPerClient: 0 });
    expect(choose(ledger, { proposal: "a", nowMs: 0 })).toBe("a");
    expect(choose(ledger, { proposal: "b", nowMs: 1, endpoints: ["b"] })).toBe("b");
    expect(choose(ledger, { proposal: "a", nowMs: 2 })).toBe("b");
  });

  test("follows a client that had to move", () => {
    const ledger = new Ledger({ maxPerClient: 0 });
    choose(ledger, { proposal: "a", nowMs: 0 });
    ledger.move("c", { key: AFFINITY.key, endpoint: "b", timeoutMs: 10_000 }, 1);
    expect(choose(ledger, { proposal: "a", nowMs: 2 })).toBe("b");
  });

  test("is forgotten by the sweep when it is over", () => {
    const ledger = new Ledger({ maxPerClient: 0 });
    choose(ledger, { proposal: "a", nowMs: 0 });
    ledger.sweep(9_999);
    expect(ledger.size.sticky).toBe(1);
    ledger.sweep(10_000);
    expect(ledger.size.sticky).toBe(0);
  });
});

test("no client ever has more than its limit, and nothing is left when all have gone", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.record({ client: fc.constantFrom("a", "b", "c"), comes: fc.boolean() }), { maxLength: 60 }),
      (maxPerClient, steps) => {
        const ledger = new Ledger({ maxPerClient });
        const inside = new Map<string, number>();
        for (const { client, comes } of steps) {
          const count = inside.get(client) ?? 0;
          if (comes) {
            const admitted = ledger.admit({ client, counted: true }, 0).kind === "admitted";
            expect(admitted).toBe(count < maxPerClient);
            if (admitted) inside.set(client, count + 1);
          } else if (count > 0) {
            ledger.leave(client);
            inside.set(client, count - 1);
          }
        }
        for (const [client, count] of inside) for (let left = 0; left < count; left++) ledger.leave(client);
        expect(ledger.size.clients).toBe(0);
      },
    ),
  );
});
