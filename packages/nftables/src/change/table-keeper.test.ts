import process from "node:process";
import { serviceName } from "@svcproxy/host";
import { parseTopology, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { wantedPorts } from "../compile/wanted-port.ts";
import { wantedTable } from "../compile/wanted-table.ts";
import { compileTable } from "../compile-table.ts";
import { meaningOf, sizeOfTable } from "../testing/meaning-of.ts";
import { MemoryTable } from "../testing/memory-table.ts";
import { RandomCluster, randomSource } from "../testing/random-cluster.ts";
import { formatTransaction } from "./format-transaction.ts";
import { type PlannedChange, TableKeeper } from "./table-keeper.ts";
import { isEmpty } from "./transaction.ts";

/** `STEPS=20000` walks further. */
const STEPS = Number(process.env["STEPS"] ?? 150);

test.for([1, 2])("a walk of changes ends where a fresh table would, step by step (seed %i)", (seed) => {
  const random = randomSource(seed);
  const cluster = new RandomCluster(random, { services: 12 });
  for (const family of [4, 6] as const) {
    const kernel = new MemoryTable(family);
    let keeper = new TableKeeper(family);
    const carryOut = (change: PlannedChange) => {
      kernel.run(change.transaction);
      keeper.commit(change);
      expect(change.unnumbered).toEqual([]);
    };
    carryOut(keeper.planAll(wantedTable(cluster.plan(), { family })));
    for (let step = 0; step < STEPS; step++) {
      const changed = cluster.step();
      const plan = cluster.plan();
      const fresh = compileTable(plan, { family }).table;
      // Some run after another that was killed before it had cleaned up.
      if (random() < 0.1) keeper = new TableKeeper(family, kernel.read());
      else if (changed !== undefined && random() < 0.9) {
        carryOut(
          keeper.planSome(
            changed,
            wantedPorts(plan, { family, ports: plan.ports.filter((port) => changed.has(serviceName(port))) }),
          ),
        );
        if (random() < 0.5) carryOut(keeper.planLeftover());
        expectServed(kernel, fresh);
        continue;
      }
      carryOut(keeper.planAll(wantedTable(plan, { family })));
      expectServed(kernel, fresh);
      if (keeper.hasLeftover) carryOut(keeper.planLeftover());
      const table = kernel.read();
      if (table === undefined) throw new Error("no table");
      expect(meaningOf(table)).toEqual(meaningOf(fresh));
      expect(sizeOfTable(table)).toBe(sizeOfTable(fresh));
      const again = new TableKeeper(family, table).planAll(wantedTable(plan, { family }));
      expect(isEmpty(again.transaction) && again.leftover.isEmpty).toBe(true);
    }
  }
});

/** Every frontend does what a fresh table would; what nothing leads to any more may still be there. */
function expectServed(kernel: MemoryTable, fresh: Parameters<typeof meaningOf>[0]): void {
  const table = kernel.read();
  if (table === undefined) throw new Error("no table");
  const lines = new Set(meaningOf(table));
  expect(meaningOf(fresh).filter((line) => !lines.has(line))).toEqual([]);
  const served = (line: string) => /^(services|nodeports|cluster-ips|pods) /.test(line);
  expect([...lines].filter(served)).toEqual(meaningOf(fresh).filter(served));
}

const PLAIN = { endpoints: ["10.5.0.2:80", "10.5.0.3:80", "10.5.0.4:80"], rest: "" };

function planOf({ endpoints, rest }: { readonly endpoints: readonly string[]; readonly rest: string }) {
  const text = `
hosts: [{ name: one, address: 192.168.1.6 }]
services:
  - name: web
    clusterIP: 10.100.0.1
    ports: [{ port: 80 }]
    endpoints: ${JSON.stringify(endpoints)}
    ${rest}`;
  return planHost(parseTopology(Buffer.from(text), { file: "web" }).topology, { host: "one" });
}

describe("a small change", () => {
  const changed = new Set(["default/web"]);
  const start = (from: Parameters<typeof planOf>[0]) => {
    const keeper = new TableKeeper(4);
    keeper.commit(keeper.planAll(wantedTable(planOf(from), { family: 4 })));
    const carryOut = (change: PlannedChange) => {
      keeper.commit(change);
      return formatTransaction(change.transaction).replaceAll("ip svcproxy ", "").replaceAll("\n", " ").trim();
    };
    return {
      to: (plan: Parameters<typeof planOf>[0]) =>
        carryOut(keeper.planSome(changed, wantedPorts(planOf(plan), { family: 4 }))),
      cleanUp: () => carryOut(keeper.planLeftover()),
    };
  };

  test("puts an endpoint in the place of another, and nothing is left over but a client that was its own endpoint", () => {
    const table = start(PLAIN);
    expect(table.to({ ...PLAIN, endpoints: ["10.5.0.2:80", "10.5.0.9:80", "10.5.0.4:80"] })).toBe(
      "delete element endpoints-tcp { 1:0 . 1 } " +
        "add element hairpins { 10.5.0.9 . 10.5.0.9 } add element endpoints-tcp { 1:0 . 1 : 10.5.0.9 . 80 }",
    );
    expect(table.cleanUp()).toBe("delete element hairpins { 10.5.0.3 . 10.5.0.3 }");
    expect(table.cleanUp()).toBe("");
  });

  test("moves the last endpoint to the place of the one that went, and removes its old place one transaction later", () => {
    const table = start(PLAIN);
    expect(table.to({ ...PLAIN, endpoints: ["10.5.0.3:80", "10.5.0.4:80"] })).toBe(
      "delete element groups { 1:0 } delete element endpoints-tcp { 1:0 . 0 } " +
        "add chain pick-tcp-2 {  } add rule pick-tcp-2 meta l4proto tcp dnat ip to meta priority . numgen random mod 2 map @endpoints-tcp " +
        "add rule pick-tcp-2 drop add element groups { 1:0 : goto pick-tcp-2 } " +
        "add element endpoints-tcp { 1:0 . 0 : 10.5.0.4 . 80 }",
    );
    // The place that is to be removed is wanted again: nothing is removed.
    expect(table.to({ ...PLAIN, endpoints: ["10.5.0.4:80", "10.5.0.3:80", "10.5.0.7:80"] })).toBe(
      "delete element groups { 1:0 } delete element endpoints-tcp { 1:0 . 2 } delete element hairpins { 10.5.0.2 . 10.5.0.2 } " +
        "add element hairpins { 10.5.0.7 . 10.5.0.7 } add element groups { 1:0 : goto pick-tcp-3 } " +
        "add element endpoints-tcp { 1:0 . 2 : 10.5.0.7 . 80 }",
    );
    expect(table.cleanUp()).toBe("");
  });

  test("takes an endpoint's clients from it with the switch, and gives its slot to nobody else", () => {
    const rest = "sessionAffinity: ClientIP";
    const table = start({ ...PLAIN, rest });
    const swap = table.to({ endpoints: ["10.5.0.9:80", "10.5.0.3:80", "10.5.0.4:80"], rest });
    expect(swap).toContain("delete element slots { 1:0 . 0 } delete element usable-slots { 1:1 }");
    expect(swap).toContain("add element slots { 1:0 . 0 : 1:4 } add element usable-slots { 1:4 }");
    expect(table.cleanUp()).toContain("delete element sticky-endpoints-tcp { 1:1 }");
    expect(table.to({ endpoints: ["10.5.0.8:80", "10.5.0.3:80", "10.5.0.4:80"], rest })).toContain("{ 1:5 }");
  });

  test("of a service that goes removes its address at once, its group later", () => {
    const keeper = new TableKeeper(4);
    keeper.commit(keeper.planAll(wantedTable(planOf(PLAIN), { family: 4 })));
    const change = keeper.planSome(changed, []);
    expect([...change.transaction.removedElements.keys()]).toEqual(["cluster-ips", "services"]);
    expect([...change.leftover.elements.keys()]).toEqual(["hairpins", "groups", "endpoints-tcp"]);
  });
});

test("where numbers run out, the ports that get none are named, and get one once others are free", () => {
  const most = 65_534;
  const { ports, ...rest } = wantedTable(planOf({ endpoints: ["10.5.0.2:80"], rest: "" }), { family: 4 });
  const copies = (count: number) =>
    ports.flatMap((port) =>
      Array.from({ length: count }, (_, index) => {
        const key = `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255} . tcp . 80`;
        const frontends = port.frontends.map((frontend) => ({ ...frontend, key }));
        return { ...port, id: `web${index}`, service: `default/web${index}`, frontends };
      }),
    );
  const all = copies(most + 2);
  const keeper = new TableKeeper(4);
  const first = keeper.planAll({ ...rest, ports: all });
  expect(first.unnumbered).toEqual(all.slice(most));
  expect(first.transaction.addedElements.get("services")?.size).toBe(most);
  keeper.commit(first);

  const services = ["default/web7", `default/web${most}`];
  const wanted = all.slice(most, most + 1);
  // The number of the one that goes may still be looked up.
  const change = keeper.planSome(services, wanted);
  expect(change.unnumbered).toEqual(wanted);
  keeper.commit(change);
  keeper.commit(keeper.planLeftover());
  const again = keeper.planSome(services, wanted);
  expect(again.unnumbered).toEqual([]);
  expect([...(again.transaction.addedElements.get("services") ?? [])]).toMatchObject([
    [`10.100.255.254 . tcp . 80`, { data: "8:1" }],
  ]);
});
