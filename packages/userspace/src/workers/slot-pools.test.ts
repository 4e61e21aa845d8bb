import { expect, test } from "vitest";
import { SlotPools } from "./slot-pools.ts";
import { ALL_CONNECTIONS } from "./worker-messages.ts";

function newPools() {
  const granted: string[] = [];
  const called: string[] = [];
  const pools = new SlotPools<string>({
    sizes: { maxConnections: 100, maxPerClient: 3 },
    callBack: (worker, pool) => called.push(`${worker}/${pool}`),
    grant: (worker, loan) => granted.push(`${worker}/${loan.pool}: ${loan.granted}`),
  });
  return { pools, granted, called };
}

test("each client has its own slots, and all connections theirs", () => {
  const { pools, granted } = newPools();
  pools.want(ALL_CONNECTIONS, "a");
  pools.want("10.0.0.1", "a");
  pools.want("10.0.0.2", "b");
  expect(granted).toEqual(["a/: 16", "a/10.0.0.1: 3", "b/10.0.0.2: 3"]);
});

test("what one worker does not use goes to the other", () => {
  const { pools, granted, called } = newPools();
  pools.want("10.0.0.1", "a");
  pools.want("10.0.0.1", "b");
  expect(called).toEqual(["a/10.0.0.1"]);
  pools.gaveBack("10.0.0.1", { worker: "a", slots: 2 });
  expect(granted).toEqual(["a/10.0.0.1: 3", "b/10.0.0.1: 2"]);
});

test("a client is forgotten when nothing of it is lent", () => {
  const { pools } = newPools();
  pools.want("10.0.0.1", "a");
  pools.want("10.0.0.2", "b");
  pools.gaveBack("10.0.0.1", { worker: "a", slots: 3 });
  expect(pools.size).toBe(1);
  pools.gone("b");
  expect(pools.size).toBe(0);
  pools.gaveBack("10.0.0.9", { worker: "a", slots: 0 }); // an answer that came too late
  expect(pools.size).toBe(0);
});
