import { expect, test } from "vitest";
import { CanaryGate, type CanaryStatus } from "./canary-gate.ts";

const settings = { hosts: ["c"], delayMs: 30_000 };

function gate() {
  const made = new CanaryGate<string>();
  made.offer("old", { revision: 1, settings, now: 0 });
  return made;
}

function says(revision: number, state = "following"): readonly CanaryStatus[] {
  return [{ host: "c", revision, state }];
}

test("what is there at the start counts at once", () => {
  expect(gate().value).toBe("old");
});

test("a change counts when the canaries have had it for as long as that, and follow", () => {
  const canaries = gate();
  canaries.offer("new", { revision: 2, settings, now: 1_000 });
  expect(canaries.askAt()).toBe(1_000);
  canaries.hear(says(1), { settings, now: 1_000 });
  expect([canaries.value, canaries.askAt()]).toEqual(["old", 31_000]);
  expect(canaries.problems).toMatchObject([{ code: "CANARY_FIRST" }]);
  expect(canaries.hear(says(2), { settings, now: 31_000 })).toBe(true);
  expect([canaries.value, canaries.problems, canaries.askAt()]).toEqual(["new", [], undefined]);
});

test.for([
  { statuses: says(2, "degraded"), why: "c is degraded" },
  { statuses: says(1), why: "c has not applied it" },
  { statuses: [{ host: "c" }], why: "c has gone silent since" },
])("it waits while $why", ({ statuses, why }) => {
  const canaries = gate();
  canaries.offer("new", { revision: 2, settings, now: 0 });
  canaries.hear(says(1), { settings, now: 0 });
  canaries.hear(statuses, { settings, now: 40_000 });
  expect(canaries.value).toBe("old");
  canaries.offer("new", { revision: 2, settings, now: 40_000 });
  expect(canaries.problems).toMatchObject([{ code: "CANARY_DEGRADED", text: expect.stringContaining(why) }]);
  canaries.hear(says(2), { settings, now: 50_000 });
  expect(canaries.value).toBe("new");
});

test("a canary that never wrote a status is a problem, and holds nothing up", () => {
  const canaries = gate();
  canaries.offer("new", { revision: 2, settings, now: 0 });
  canaries.hear([{ host: "c" }], { settings, now: 0 });
  canaries.hear([{ host: "c" }], { settings, now: 30_000 });
  expect(canaries.value).toBe("new");
  expect(canaries.problems).toMatchObject([{ code: "CANARY_SILENT" }]);
});

test("what comes while a change waits, waits behind it for as long", () => {
  const canaries = gate();
  canaries.offer("new", { revision: 2, settings, now: 0 });
  canaries.offer("newer", { revision: 3, settings, now: 20_000 });
  canaries.hear(says(3), { settings, now: 30_000 });
  expect(canaries.value).toBe("new");
  canaries.hear(says(3), { settings, now: 30_000 });
  expect([canaries.value, canaries.askAt()]).toEqual(["new", 50_000]);
  canaries.hear(says(3), { settings, now: 50_000 });
  expect(canaries.value).toBe("newer");
});

test("what mends a change that degraded a canary takes its place", () => {
  const canaries = gate();
  canaries.offer("bad", { revision: 2, settings, now: 0 });
  canaries.offer("good", { revision: 3, settings, now: 10_000 });
  canaries.hear(says(2, "degraded"), { settings, now: 31_000 });
  canaries.hear(says(3), { settings, now: 31_000 });
  canaries.hear(says(3), { settings, now: 41_000 });
  expect(canaries.value).toBe("good");
});

test("confirmed, or once nobody is a canary, it counts at once", () => {
  const canaries = gate();
  canaries.offer("new", { revision: 2, settings, now: 0 });
  expect(canaries.confirm()).toBe(2);
  expect(canaries.value).toBe("new");
  expect(canaries.confirm()).toBeUndefined();
  canaries.offer("newer", { revision: 3, settings, now: 0 });
  canaries.offer("newest", { revision: 4, settings: undefined, now: 1 });
  expect([canaries.value, canaries.askAt()]).toEqual(["newest", undefined]);
});
