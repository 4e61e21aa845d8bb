import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type IpAddress, parseCidr } from "../address.ts";
import { parseTopology } from "../file/parse-topology.ts";
import type { Endpoint, Service, Topology } from "../model.ts";
import type { HostPlan } from "./host-plan.ts";
import { changedServices, planHost } from "./plan-host.ts";

const NAMES = ["a", "b", "c", "d", "e", "f"] as const;

/** Two hosts and six services, each with two pods, one of them with a headless sibling. */
function startTopology(): Topology {
  const pods = (host: number) =>
    NAMES.map((name, index) => `{ name: ${name}${host}, address: "10.${host}.0.${index + 2}:80" }`).join(", ");
  const services = NAMES.map(
    (name, index) => `
  - name: ${name}
    clusterIP: ${name === "f" ? "None" : `10.96.0.${index + 1}`}
    externalTrafficPolicy: ${index % 2 === 0 ? "Local" : "Cluster"}
    ${index === 0 ? "healthCheckNodePort: 32000\n    loadBalancerIPs: [203.0.113.1]" : ""}
    ports: [{ port: 80${name === "f" ? "" : `, nodePort: ${30001 + index}`} }]
    endpoints: [${name}1, ${name}2]`,
  );
  const text = `
hosts:
  - { name: h1, address: 192.168.0.1, podCIDR: 10.1.0.0/24, zone: east, pods: [${pods(1)}] }
  - { name: h2, address: 192.168.0.2, podCIDR: 10.2.0.0/24, zone: west, pods: [${pods(2)}] }
services:${services.join("")}
`;
  return parseTopology(Buffer.from(text), { file: "t.yaml" }).topology;
}

const START = startTopology();

/** A change as a source would hand it over: what did not change is the same object. */
type Change = (topology: Topology, machine: readonly IpAddress[]) => readonly [Topology, readonly IpAddress[]];

function ofService(index: number, change: (service: Service) => Service): Change {
  return (topology, machine) => [
    { ...topology, services: topology.services.map((service, at) => (at === index ? change(service) : service)) },
    machine,
  ];
}

function ofEndpoints(index: number, change: (endpoints: readonly Endpoint[]) => readonly Endpoint[]): Change {
  return ofService(index, (service) => ({
    ...service,
    ports: service.ports.map((port) => ({ ...port, endpoints: change(port.endpoints) })),
  }));
}

const place = fc.nat(NAMES.length - 1);
const conditions = fc.record({ ready: fc.boolean(), serving: fc.boolean(), terminating: fc.boolean() });

const anyChange: fc.Arbitrary<Change> = fc.oneof(
  fc
    .tuple(place, fc.constantFrom("Cluster" as const, "Local" as const))
    .map(([index, externalTrafficPolicy]) => ofService(index, (service) => ({ ...service, externalTrafficPolicy }))),
  fc
    .tuple(place, place, conditions)
    .map(([index, which, given]) =>
      ofEndpoints(index, (endpoints) =>
        endpoints.map((endpoint, at) => (at === which % endpoints.length ? { ...endpoint, ...given } : endpoint)),
      ),
    ),
  // An endpoint that is another service's ClusterIP: it may lead round, and then services change that nobody touched.
  fc.tuple(place, place).map(([index, to]) =>
    ofEndpoints(index, (endpoints) => {
      const [first, ...others] = endpoints;
      const address = START.services[to]?.clusterIPs[0];
      return first === undefined || address === undefined ? endpoints : [{ ...first, address }, ...others];
    }),
  ),
  place.map((index) => ofEndpoints(index, (endpoints) => endpoints.slice(1))),
  place.map(
    (index): Change =>
      (topology, machine) => [{ ...topology, services: topology.services.filter((_, at) => at !== index) }, machine],
  ),
  place.map(
    (index): Change =>
      (topology, machine) => {
        const missing = START.services.filter(
          ({ name }) => !topology.services.some((service) => service.name === name),
        );
        const back = missing[index % Math.max(1, missing.length)];
        return [back === undefined ? topology : { ...topology, services: [...topology.services, back] }, machine];
      },
  ),
  fc.constantFrom("east", "west").map(
    (zone): Change =>
      (topology, machine) => [
        { ...topology, hosts: topology.hosts.map((host) => (host.name === "h1" ? { ...host, zone } : host)) },
        machine,
      ],
  ),
  fc.boolean().map(
    (masqueradeAll): Change =>
      (topology, machine) => [{ ...topology, node: { ...topology.node, masqueradeAll } }, machine],
  ),
  fc.subarray(["10.9.0.1", "10.9.0.2", "127.0.0.1", "10.96.0.2"]).map(
    (addresses): Change =>
      (topology) => [topology, addresses.flatMap((address) => parseCidr(`${address}/32`)?.address ?? [])],
  ),
);

describe("a plan that is made from the last one", () => {
  test("is the plan that would be made afresh, whatever changed", () => {
    fc.assert(
      fc.property(fc.array(anyChange, { minLength: 1, maxLength: 12 }), (changes) => {
        let topology = START;
        let machine: readonly IpAddress[] = [];
        let plan = planHost(topology, { host: "h1" });
        for (const change of changes) {
          [topology, machine] = change(topology, machine);
          const next = planHost(topology, { host: "h1", machineAddresses: machine, previous: plan });
          expect(next).toEqual(planHost(topology, { host: "h1", machineAddresses: machine }));
          const changed = changedServices(next, plan);
          // A service may be another object and mean the same.
          if (changed !== undefined) expect(differing(plan, next).filter((name) => !changed.has(name))).toEqual([]);
          plan = next;
        }
      }),
      { numRuns: 400 },
    );
  });

  test("shares what belongs to services that are the same", () => {
    const plan = planHost(START, { host: "h1" });
    const [topology] = ofEndpoints(1, (endpoints) => endpoints.slice(1))(START, []);
    const next = planHost(topology, { host: "h1", previous: plan });
    const shared = next.ports.filter((port) => plan.ports.includes(port)).map(({ service }) => service.name);
    expect(shared).toEqual(["a", "c", "d", "e"]);
    expect(changedServices(next, plan)).toEqual(new Set(["default/b"]));
    expect(next.nodePortAddresses).toBe(plan.nodePortAddresses);
    expect(changedServices(planHost(topology, { host: "h1", previous: next }), next)).toEqual(new Set());
  });

  test("says that more changed than services, where it did", () => {
    const plan = planHost(START, { host: "h1" });
    const node = { ...START.node, masqueradeAll: true };
    expect(changedServices(planHost({ ...START, node }, { host: "h1", previous: plan }), plan)).toBeUndefined();
    expect(
      changedServices(planHost({ ...START, node: { ...START.node } }, { host: "h1", previous: plan }), plan),
    ).toEqual(new Set());
  });
});

/** The services whose parts differ by value, or that one plan lacks. */
function differing(a: HostPlan, b: HostPlan): readonly string[] {
  const parts = ({ ports, healthChecks }: HostPlan) =>
    Map.groupBy([...ports, ...healthChecks], ({ service: { namespace, name } }) => `${namespace}/${name}`);
  const [before, after] = [parts(a), parts(b)];
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((name) => JSON.stringify(before.get(name)) !== JSON.stringify(after.get(name)))
    .sort();
}
