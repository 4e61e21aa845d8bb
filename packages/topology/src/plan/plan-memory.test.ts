import { describe, expect, test } from "vitest";
import { parseTopology } from "../file/parse-topology.ts";
import type { Topology } from "../model.ts";
import type { HostPlan } from "./host-plan.ts";
import { planHost } from "./plan-host.ts";
import { findInPorts, portsOfService, someInPorts } from "./plan-memory.ts";

const SERVICES = ["a", "b", "c", "d"];

function topologyOf(nodePorts: Readonly<Record<string, number>>, services = SERVICES): Topology {
  const lines = services.map((name) => {
    const nodePort = nodePorts[name] === undefined ? "" : `, nodePort: ${nodePorts[name]}`;
    const address = `10.100.0.${SERVICES.indexOf(name) + 1}`;
    return `  - { name: ${name}, clusterIP: ${address}, ports: [{ port: 80${nodePort} }], endpoints: ["10.1.0.2:80"] }`;
  });
  const text = `hosts: [{ name: one, address: 192.0.2.1 }]\nservices:\n${lines.join("\n")}\n`;
  return parseTopology(new TextEncoder().encode(text), { file: "t.yaml" }).topology;
}

/** Shares the services that are not named with the topology before, as sources do. */
function changed(before: Topology, after: Topology, names: readonly string[]): Topology {
  const kept = new Map(before.services.map((service) => [service.name, service]));
  return {
    ...after,
    hosts: before.hosts,
    node: before.node,
    services: after.services.map((service) =>
      names.includes(service.name) ? service : (kept.get(service.name) ?? service),
    ),
  };
}

describe("what ports of a plan have", () => {
  const looked: string[] = [];
  const nodePorts = findInPorts(({ service, port }) => {
    looked.push(service.name);
    return port.nodePort === undefined ? [] : [Number(port.nodePort)];
  });
  const lookedAt = (plan: HostPlan) => {
    looked.length = 0;
    return { found: nodePorts(plan), looked: [...looked] };
  };

  test("is looked for in what changed, from one plan to the next, and told in the plan's order", () => {
    const first = topologyOf({ b: 30002 });
    const plan = planHost(first, { host: "one" });
    expect(lookedAt(plan)).toEqual({ found: [30002], looked: SERVICES });
    expect(lookedAt(plan)).toEqual({ found: [30002], looked: [] });

    const second = changed(first, topologyOf({ a: 30001, b: 30002 }), ["a"]);
    const next = planHost(second, { host: "one", previous: plan });
    expect(lookedAt(next)).toEqual({ found: [30001, 30002], looked: ["a"] });

    const third = changed(second, topologyOf({ a: 30001 }), ["b"]);
    const last = planHost(third, { host: "one", previous: next });
    expect(lookedAt(last)).toEqual({ found: [30001], looked: ["b"] });
  });

  test("is looked for in all of it where services came or went between plans that nobody asked about", () => {
    const first = topologyOf({ b: 30002, d: 30004 });
    const plan = planHost(first, { host: "one" });
    const second = changed(first, topologyOf({ b: 30002, d: 30004 }, ["a", "b", "d"]), []);
    const next = planHost(second, { host: "one", previous: plan });
    expect(lookedAt(next)).toEqual({ found: [30002, 30004], looked: ["a", "b", "d"] });
    const third = changed(second, topologyOf({ b: 30002 }, ["a", "b"]), []);
    expect(lookedAt(planHost(third, { host: "one", previous: next })).found).toEqual([30002]);
  });
});

describe("whether any port of a plan is so", () => {
  const looked: string[] = [];
  const hasNodePort = someInPorts(({ service, port }) => {
    looked.push(service.name);
    return port.nodePort !== undefined;
  });
  const lookedAt = (plan: HostPlan) => {
    looked.length = 0;
    return { has: hasNodePort(plan), looked: [...looked] };
  };

  test("is looked for in what changed, and in all only where the one that was so changed", () => {
    let topology = topologyOf({});
    let plan = planHost(topology, { host: "one" });
    const next = (nodePorts: Readonly<Record<string, number>>, names: readonly string[]) => {
      topology = changed(topology, topologyOf(nodePorts), names);
      plan = planHost(topology, { host: "one", previous: plan });
      return lookedAt(plan);
    };
    expect(lookedAt(plan)).toEqual({ has: false, looked: SERVICES });
    expect(lookedAt(plan)).toEqual({ has: false, looked: [] });
    expect(next({ b: 30002 }, ["b"])).toEqual({ has: true, looked: ["b"] });
    expect(next({ a: 30001, b: 30002 }, ["a"])).toEqual({ has: true, looked: [] });
    expect(next({ a: 30001 }, ["b"])).toEqual({ has: true, looked: ["a"] });
    expect(next({}, ["a"])).toEqual({ has: false, looked: SERVICES });
    expect(next({}, [])).toEqual({ has: false, looked: [] });
  });
});

test("a service's ports are those that it has in this plan, also in one that was put together otherwise", () => {
  const first = topologyOf({});
  const plan = planHost(first, { host: "one" });
  const second = changed(first, topologyOf({ c: 30003 }), ["c"]);
  const next = planHost(second, { host: "one", previous: plan });
  for (const name of SERVICES) {
    const ofService = (of: HostPlan) => of.ports.filter(({ service }) => service.name === name);
    for (const one of [plan, next, { ...next }]) expect(portsOfService(one, `default/${name}`)).toEqual(ofService(one));
  }
  expect(portsOfService(next, "default/none")).toEqual([]);
  expect(next.ports.map(({ service }) => service.name)).toEqual(SERVICES);
});
