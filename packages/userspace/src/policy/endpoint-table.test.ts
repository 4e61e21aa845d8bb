import { describe, expect, test } from "vitest";
import { ip, portOf } from "../testing/loopback-plan.ts";
import { EndpointState, EndpointTable, NONE_TRIED, pickEndpoint } from "./endpoint-table.ts";
import type { ListedEndpoint } from "./frontend-spec.ts";

function listed(name: string): ListedEndpoint {
  return { key: name, address: ip("10.0.0.1"), port: portOf(80), protocol: "tcp", services: ["default/web"] };
}

describe("an endpoint that failed", () => {
  test("is passed over for 1 s, then twice as long each time, at most 30 s", () => {
    const endpoint = new EndpointState(listed("a"));
    const ejections: number[] = [];
    let nowMs = 0;
    for (let failure = 0; failure < 7; failure++) {
      endpoint.failed(nowMs);
      ejections.push(endpoint.ejectedUntilMs - nowMs);
      nowMs = endpoint.ejectedUntilMs;
      expect(endpoint.isUsable(nowMs - 1)).toBe(false);
      expect(endpoint.isUsable(nowMs)).toBe(true);
    }
    expect(ejections).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  test("counts dials that failed together once", () => {
    const endpoint = new EndpointState(listed("a"));
    endpoint.failed(0);
    endpoint.failed(500);
    expect(endpoint.ejectedUntilMs).toBe(1_000);
  });

  test("starts anew after a success", () => {
    const endpoint = new EndpointState(listed("a"));
    endpoint.failed(0);
    endpoint.failed(1_000);
    endpoint.succeeded();
    endpoint.failed(10_000);
    expect(endpoint.ejectedUntilMs).toBe(11_000);
  });
});

describe("the choice", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => new EndpointState(listed(name)));
  if (a === undefined || b === undefined || c === undefined) throw new Error("three endpoints");
  const pick = (tried = NONE_TRIED, random = 0) => pickEndpoint([a, b, c], { tried, nowMs: 0, random: () => random });

  test("goes by the random number alone, in equal shares", () => {
    expect([0, 0.33, 0.34, 0.66, 0.67, 0.999].map((random) => pick(NONE_TRIED, random)?.target.key)).toEqual([
      ...["a", "a", "b", "b", "c", "c"],
    ]);
  });

  test("leaves out what was tried, and ends when all were", () => {
    expect(pick([a])?.target.key).toBe("b");
    expect(pick([a, b])?.target.key).toBe("c");
    expect(pick([a, b, c])).toBeUndefined();
  });

  test("passes over the dead as long as another is there", () => {
    b.down = true;
    c.failed(0);
    expect([0, 0.5, 0.99].map((random) => pick(NONE_TRIED, random)?.target.key)).toEqual(["a", "a", "a"]);
    expect(pick([a])?.target.key).toBe("b"); // better than nothing
  });
});

describe("the table", () => {
  function tableWithBusy(name: string) {
    const table = new EndpointTable();
    table.list(listed(name));
    const endpoint = table.get(name);
    if (endpoint === undefined) throw new Error(`${name} is listed`);
    endpoint.counters.active = 1;
    return { table, endpoint };
  }

  test("keeps an endpoint that left the plan for as long as it has connections", () => {
    const { table, endpoint } = tableWithBusy("a");
    table.list(listed("b"));
    table.unlist("a", 600);
    table.unlist("b", 600);
    expect([...table.values()].map((state) => state.status(100).state)).toEqual(["draining"]);
    expect(endpoint.removedAtMs).toBe(600);
    table.unlist("a", 900); // a second time: the first counts
    expect(endpoint.removedAtMs).toBe(600);
    endpoint.counters.active = 0;
    table.sweep();
    expect([...table.values()]).toEqual([]);
  });

  test("takes one back that returns to the plan", () => {
    const { table, endpoint } = tableWithBusy("a");
    table.unlist("a", 500);
    table.list({ ...listed("a"), pod: "web-1" });
    expect(endpoint.status(0)).toMatchObject({ state: "up", pod: "web-1" });
    expect(table.find(["a", "unknown"])).toEqual([endpoint]);
  });
});
