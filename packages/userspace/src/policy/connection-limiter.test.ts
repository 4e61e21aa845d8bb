import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LocalLimiter } from "./connection-limiter.ts";

const AFFINITY = { key: "default/web#0/4", timeoutMs: 10_000, endpoints: ["a", "b"] };

describe("affinity", () => {
  function newLimiter() {
    let nowMs = 0;
    const limiter = new LocalLimiter({ maxConnections: 0, maxPerClient: 0 }, () => nowMs);
    const choose = (proposal: string, at: number, endpoints = AFFINITY.endpoints) => {
      nowMs = at;
      const answer = limiter.decide({ client: "c", counted: false, affinity: { ...AFFINITY, endpoints, proposal } });
      return answer.kind === "admitted" ? answer.endpoint : undefined;
    };
    const sweep = (at: number) => {
      nowMs = at;
      limiter.sweep();
    };
    return { limiter, choose, sweep };
  }

  test("lasts for its timeout after the last use", () => {
    const { choose } = newLimiter();
    expect(choose("a", 0)).toBe("a");
    expect(choose("b", 9_999)).toBe("a");
    expect(choose("b", 19_998)).toBe("a");
    expect(choose("b", 29_999)).toBe("b");
  });

  test("gives way where its endpoint cannot be chosen any more", () => {
    const { choose } = newLimiter();
    expect(choose("a", 0)).toBe("a");
    expect(choose("b", 1, ["b"])).toBe("b");
    expect(choose("a", 2)).toBe("b");
  });

  test("follows a client that had to move", () => {
    const { limiter, choose } = newLimiter();
    choose("a", 0);
    limiter.move("c", { key: AFFINITY.key, endpoint: "b", timeoutMs: 10_000 });
    expect(choose("a", 2)).toBe("b");
  });

  test("is forgotten by the sweep when it is over", () => {
    const { limiter, choose, sweep } = newLimiter();
    choose("a", 0);
    sweep(9_999);
    expect(limiter.size.sticky).toBe(1);
    sweep(10_000);
    expect(limiter.size.sticky).toBe(0);
  });
});

test("neither all connections nor those of a client are ever more than their limit, and nothing is left when all have gone", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 6 }),
      fc.integer({ min: 0, max: 4 }),
      fc.array(fc.record({ client: fc.constantFrom("a", "b", "c"), comes: fc.boolean() }), { maxLength: 60 }),
      (maxConnections, maxPerClient, steps) => {
        const limiter = new LocalLimiter({ maxConnections, maxPerClient }, () => 0);
        const inside = new Map<string, number>();
        const total = () => [...inside.values()].reduce((sum, count) => sum + count, 0);
        for (const { client, comes } of steps) {
          const count = inside.get(client) ?? 0;
          if (comes) {
            const isFull = maxConnections > 0 && total() >= maxConnections;
            const hasEnough = maxPerClient > 0 && count >= maxPerClient;
            const answer = limiter.decide({ client, counted: true });
            if (isFull) expect(answer).toEqual({ kind: "refused", by: "max-connections" });
            else if (hasEnough) expect(answer).toEqual({ kind: "refused", by: "max-per-client" });
            else {
              expect(answer).toEqual({ kind: "admitted" });
              inside.set(client, count + 1);
            }
          } else if (count > 0) {
            limiter.leave(client);
            inside.set(client, count - 1);
          }
        }
        for (const [client, count] of inside) for (let left = 0; left < count; left++) limiter.leave(client);
        expect(limiter.size).toMatchObject({ connections: 0, clients: 0 });
      },
    ),
  );
});
