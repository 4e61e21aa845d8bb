import { expect, onTestFinished, test, vi } from "vitest";
import { applyChange } from "./change-state.ts";
import type { Viewed } from "./engine/viewed.ts";
import { FollowedData, type FollowedSource } from "./followed-data.ts";
import type { PageEvent, PageState } from "./model.ts";
import { exampleViewed, FIREWALL, largeViewed } from "./testing/example-viewed.ts";

/** A source of what is put into `viewed`, and how often its rules were read. */
function sourceOf(first: Viewed) {
  const source = {
    viewed: first,
    wholes: 0,
    read: async () => source.viewed,
    whole: async (listed: Viewed) => {
      source.wholes += 1;
      return { ...listed };
    },
    signature: async () => source.viewed.takenAt,
  };
  return source satisfies FollowedSource<Viewed>;
}

async function followed(source: FollowedSource<Viewed>) {
  const data = await FollowedData.open(source);
  const events: PageEvent[] = [];
  onTestFinished(data.follow((event) => events.push(event), (await data.state()).takenAt));
  const changes = () => events.flatMap((event) => (event.kind === "changed" ? [event.change] : []));
  return { data, events, changes };
}

const UNTIL = { timeout: 30_000 };
/** A moment that no other state has. */
const at = (second: number) => `2026-01-02T03:05:${String(second).padStart(2, "0")}.000Z`;

function withOtherService(viewed: Viewed, place: number): Viewed {
  const services = viewed.topology.services.map((service, index) =>
    index === place ? { ...service, clusterIPs: service.externalIPs } : service,
  );
  return { ...viewed, takenAt: at(1), topology: { ...viewed.topology, services } };
}

test("of many services of which one changed, that one is told, and makes the state of it", async () => {
  const source = sourceOf(largeViewed(2_000));
  const { data, changes } = await followed(source);
  const before: PageState = JSON.parse(JSON.stringify(await data.state()));
  source.viewed = withOtherService(source.viewed, 1234);
  await vi.waitFor(() => expect(changes()).toHaveLength(1), UNTIL);
  const [change] = changes();
  if (change === undefined) throw new Error("no change");
  expect(change.services.flatMap((part) => ("put" in part ? part.put.map(({ name }) => name) : []))).toEqual([
    "service-1234",
  ]);
  const sent = JSON.stringify(change);
  expect(sent.length).toBeLessThan(2_000);
  expect(applyChange(before, JSON.parse(sent))).toEqual(JSON.parse(JSON.stringify(await data.state())));
});

test("a change of another state is not taken for one of this", async () => {
  const source = sourceOf(largeViewed(2));
  const { data, changes } = await followed(source);
  source.viewed = withOtherService(source.viewed, 1);
  await vi.waitFor(() => expect(changes()).toHaveLength(1), UNTIL);
  const [change] = changes();
  const now = await data.state();
  if (change === undefined) throw new Error("no change");
  expect(() => applyChange(now, change)).toThrow(RangeError);
});

test("what was judged is told once, of what changed anew, and to who comes later at once", async () => {
  const source = sourceOf(exampleViewed({ extra: FIREWALL }));
  const { data, events } = await followed(source);
  const judged = (all: readonly PageEvent[]) =>
    all.flatMap((event) => (event.kind === "judged" ? Object.entries(event.states) : []));
  await vi.waitFor(() => expect(judged(events)).toHaveLength(2), UNTIL);
  const told = events.length;
  source.viewed = { ...exampleViewed(), takenAt: at(1) }; // without the firewall
  await vi.waitFor(() => expect(judged(events.slice(told))).toHaveLength(1), UNTIL);
  expect(judged(events.slice(told))).toEqual([["default/service2", { kind: "in-force" }]]);
  const late: PageEvent[] = [];
  onTestFinished(data.follow((event) => late.push(event)));
  expect(late.map(({ kind }) => kind)).toEqual(["fresh", "state", "judged"]);
  expect(Object.keys(Object.fromEntries(judged(late)))).toEqual(["default/service1", "default/service2"]);
});

test("rules are read for who asks something else, and not again at once for who asks the same", async () => {
  const source = sourceOf({ ...exampleViewed(), hosts: [] });
  const { data } = await followed(source);
  expect(source.wholes).toBe(0);
  const [view] = await Promise.all([1, 2, 3].map(() => data.service("default/service1")));
  expect(view).toEqual([]);
  expect(source.wholes).toBe(1);
  source.viewed = withOtherService(source.viewed, 1);
  await vi.waitFor(async () => expect((await data.state()).takenAt).toBe(at(1)), UNTIL);
  await data.service("default/service1");
  expect(source.wholes).toBe(1);
  await data.service("default/service2");
  expect(source.wholes).toBe(2);
});
