import { exampleTopology, type Topology } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { shareUnchanged } from "../../share-unchanged.ts";
import { TopologyTeller, topologyOf } from "./told-topology.ts";

const { topology } = exampleTopology();

/** As a source tells it: what has stayed is the very object of before. */
function changed(before: Topology): Topology {
  const after = structuredClone(before);
  const services = after.services.map((service) => (service.name === "service2" ? { ...service, id: "x" } : service));
  return shareUnchanged({ ...after, services }, before).topology;
}

test("who asks first is told all, and then what is otherwise", () => {
  const teller = new TopologyTeller();
  const first = teller.tell(topology, { host: "cloudos1", since: undefined });
  const known = topologyOf(JSON.parse(JSON.stringify(first)), undefined);
  expect(known).toEqual(topology);
  const after = changed(topology);
  const second = teller.tell(after, { host: "cloudos1", since: first.id });
  expect(second.since).toBe(first.id);
  expect(second.services).toEqual([{ kept: [0, 1] }, { put: [after.services[1]] }]);
  expect(second.hosts).toEqual([{ kept: [0, 2] }]);
  expect(topologyOf(second, known)).toEqual(after);
});

test("what did not change has the id that it had", () => {
  const teller = new TopologyTeller();
  const { id } = teller.tell(topology, { host: "cloudos1", since: undefined });
  expect(teller.tell(topology, { host: "cloudos1", since: id }).id).toBe(id);
});

test("who names one that is not remembered any more is told all", () => {
  const teller = new TopologyTeller();
  const { id } = teller.tell(topology, { host: "cloudos1", since: undefined });
  let last = topology;
  for (let change = 0; change < 8; change++) {
    last = structuredClone(last);
    teller.tell(last, { host: "cloudos1", since: undefined });
  }
  const told = teller.tell(last, { host: "cloudos1", since: id });
  expect(told.since).toBeUndefined();
  expect(topologyOf(told, undefined)).toEqual(last);
});
