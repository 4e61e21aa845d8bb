import { type Problem, parseTopology, type Topology } from "@svcproxy/topology";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FindingsKeeper, type Served } from "./findings-keeper.ts";

const topology: Topology = parseTopology(Buffer.from("hosts: [{ name: web1, address: 192.0.2.1 }]"), {
  file: "memory",
}).topology;
const OUTDATED: Problem = { code: "RULES_OUTDATED", severity: "error", subject: "rules", text: "old" };
const DOWN: Problem = { code: "LINK_DOWN", severity: "error", subject: "link eth0", text: "down" };

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function keeper({ look = async () => [DOWN], served = () => ({ topology, host: "web1" }) }: Partial<Doors> = {}) {
  const looks: Served[] = [];
  const own = new FindingsKeeper({
    ...{ served, logger: pino({ level: "silent" }), signal: new AbortController().signal },
    look: (asked) => {
      looks.push(asked);
      return look();
    },
  });
  return { keeper: own, looks };
}

interface Doors {
  readonly look: () => Promise<readonly Problem[]>;
  readonly served: () => Served | undefined;
}

test("however often somebody asks, it looks every 30 s at most", async () => {
  const { keeper: own, looks } = keeper();
  for (let second = 0; second < 59; second++) {
    await own.refresh();
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(looks).toHaveLength(2);
  expect(own.last?.problems).toEqual([DOWN]);
});

test.for([
  { tookMs: 1_400, againAfterS: 30 },
  { tookMs: 4_000, againAfterS: 200 },
])("a look that took $tookMs ms is followed by the next after $againAfterS s", async ({ tookMs, againAfterS }) => {
  const { keeper: own, looks } = keeper({
    look: async () => {
      await vi.advanceTimersByTimeAsync(tookMs);
      return [DOWN];
    },
  });
  await own.refresh();
  await vi.advanceTimersByTimeAsync(againAfterS * 1_000 - tookMs - 1);
  await own.refresh();
  expect(looks).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  await own.refresh();
  expect(looks).toHaveLength(2);
});

test("where nobody asks, it looks after a minute and then every five", async () => {
  const { looks } = keeper();
  await vi.advanceTimersByTimeAsync(16 * 60_000 + 1);
  expect(looks).toHaveLength(4);
});

test("askers that come while it looks get what that look finds", async () => {
  const { promise, resolve } = Promise.withResolvers<readonly Problem[]>();
  const { keeper: own, looks } = keeper({ look: () => promise });
  const asked = [own.refresh(), own.refresh()];
  resolve([DOWN]);
  await Promise.all(asked);
  expect(looks).toHaveLength(1);
  expect(own.last?.problems).toEqual([DOWN]);
});

test("nothing is looked at while a plan is under way", async () => {
  const { keeper: own, looks } = keeper({ served: () => undefined });
  await own.refresh();
  expect(looks).toEqual([]);
  expect(own.last).toBeUndefined();
});

test("of a plan that changes meanwhile, only what does not hang on it is told", async () => {
  const plans = [topology, { ...topology }];
  const { keeper: own } = keeper({
    look: async () => [OUTDATED, DOWN],
    served: () => ({ topology: plans.shift() ?? topology, host: "web1" }),
  });
  await own.refresh();
  expect(own.last?.problems).toEqual([DOWN]);
});

test("a look that fails keeps what the last one found, and is tried again", async () => {
  const answers = [async () => [DOWN], () => Promise.reject(new Error("no"))];
  const { keeper: own, looks } = keeper({ look: () => answers.shift()?.() ?? Promise.resolve([OUTDATED]) });
  await own.refresh();
  await vi.advanceTimersByTimeAsync(30_000);
  await own.refresh();
  expect(own.last?.problems).toEqual([DOWN]);
  await vi.advanceTimersByTimeAsync(30_000);
  await own.refresh();
  expect(own.last?.problems).toEqual([OUTDATED]);
  expect(looks).toHaveLength(3);
});
