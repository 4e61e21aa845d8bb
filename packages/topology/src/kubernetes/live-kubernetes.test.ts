import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type LiveKind, LiveKubernetes } from "./live-kubernetes.ts";
import { parseKubernetes } from "./parse-kubernetes.ts";

interface Step {
  readonly kind: LiveKind;
  readonly key: string;
  /** Undefined: it is deleted. */
  readonly object: object | undefined;
}

const API: Readonly<Record<LiveKind, string>> = {
  Service: "v1",
  EndpointSlice: "discovery.k8s.io/v1",
  Node: "v1",
  ServiceCIDR: "networking.k8s.io/v1",
};

function step(
  kind: LiveKind,
  name: string,
  { namespace = "default", object }: { readonly namespace?: string; readonly object?: object | undefined },
): Step {
  const isOfCluster = kind === "Node" || kind === "ServiceCIDR";
  const key = isOfCluster ? name : `${namespace}/${name}`;
  if (object === undefined) return { kind, key, object };
  const metadata = { name, ...(isOfCluster ? {} : { namespace }), ...Object(Object(object).metadata) };
  return { kind, key, object: { apiVersion: API[kind], kind, ...object, metadata } };
}

/** A Service whose ClusterIP is its own, as an API server sees to it; external addresses may be another one's too. */
const anyService = fc
  .record({
    number: fc.nat({ max: 3 }),
    isGone: fc.boolean(),
    isBad: fc.boolean(),
    externalIPs: fc.subarray(["203.0.113.1", "203.0.113.2"]),
    ports: fc.uniqueArray(fc.nat({ max: 2 }), { minLength: 1 }),
    isSticky: fc.boolean(),
  })
  .map(({ number, isGone, isBad, externalIPs, ports, isSticky }) =>
    step("Service", `s${number}`, {
      object: isGone
        ? undefined
        : {
            // Who is older is the same in any order of events.
            metadata: { creationTimestamp: `2026-01-0${4 - number}T00:00:00Z` },
            spec: {
              ...{ clusterIP: `10.96.0.${number + 1}`, externalIPs },
              sessionAffinity: isSticky ? "ClientIP" : "None",
              ports: ports.map((port) => ({ name: `p${port}`, port: isBad ? 70_000 : 80 + port })),
            },
          },
    }),
  );

const anySlice = fc
  .record({
    number: fc.nat({ max: 3 }),
    part: fc.nat({ max: 1 }),
    isGone: fc.boolean(),
    isBad: fc.boolean(),
    addresses: fc.uniqueArray(fc.nat({ max: 4 })),
    port: fc.nat({ max: 2 }),
    ready: fc.boolean(),
  })
  .map(({ number, part, isGone, isBad, addresses, port, ready }) =>
    step("EndpointSlice", `s${number}-${part}`, {
      object: isGone
        ? undefined
        : {
            metadata: { labels: { "kubernetes.io/service-name": `s${number}` } },
            addressType: isBad ? "IPv9" : "IPv4",
            ports: [{ name: `p${port}`, port: 3000, protocol: "TCP" }],
            endpoints: addresses.map((address) => ({
              ...{ addresses: [`10.5.75.${address + 1}`], nodeName: address % 2 === 0 ? "node1" : "node2" },
              conditions: { ready, serving: true, terminating: !ready },
              hints: { forZones: [{ name: "a" }] },
            })),
          },
    }),
  );

const anyNode = fc.record({ block: fc.nat({ max: 3 }), zone: fc.constantFrom("a", "b") }).map(({ block, zone }) =>
  step("Node", "node1", {
    object: {
      metadata: { labels: { "topology.kubernetes.io/zone": zone } },
      spec: { podCIDR: `10.5.${70 + block}.0/24` },
      status: { addresses: [{ type: "InternalIP", address: "192.168.1.6" }] },
    },
  }),
);

const anyCIDR = fc
  .boolean()
  .map((isGone) =>
    step("ServiceCIDR", "kubernetes", { object: isGone ? undefined : { spec: { cidrs: ["10.96.0.0/12"] } } }),
  );

const anyStep = fc.oneof({ weight: 3, arbitrary: anyService }, { weight: 4, arbitrary: anySlice }, anyNode, anyCIDR);
const good = (steps: readonly Step[]) => steps.filter(({ object }) => !/70000|IPv9/.test(JSON.stringify(object ?? "")));
const ALLOWED = parseAllowed();

function parseAllowed() {
  const { topology } = parseKubernetes([
    {
      file: "x",
      bytes: Buffer.from(
        JSON.stringify(step("ServiceCIDR", "x", { object: { spec: { cidrs: ["203.0.113.0/24"] } } }).object),
      ),
    },
  ]);
  return topology.node.serviceCIDRs;
}

function take(live: LiveKubernetes, { kind, key, object }: Step): void {
  if (object === undefined) live.remove(kind, key);
  else live.set(kind, key, object);
}

describe("a cluster whose objects come one by one", () => {
  test("ends in any order of events where a fresh start would, and where its objects in a file would", () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 30 }), fc.array(fc.boolean()), (all, looks) => {
        const steps = [step("Node", "node1", { object: Object(anyNodeObject()) }), ...good(all)];
        const live = new LiveKubernetes({ allowExternalIPs: ALLOWED });
        steps.forEach((one, index) => {
          take(live, one);
          if (looks[index] === true) live.state();
        });
        const last = new Map<string, Step>();
        for (const one of steps) last.set(`${one.kind} ${one.key}`, one);
        const left = [...last.values()].filter(({ object }) => object !== undefined);
        const fresh = new LiveKubernetes({ allowExternalIPs: ALLOWED });
        for (const one of left) take(fresh, one);
        const { topology } = live.state();
        expect(topology).toEqual(fresh.state().topology);
        // The oldest comes first there.
        const items = left.map(({ object }) => object).sort((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1));
        const bytes = Buffer.from(JSON.stringify({ apiVersion: "v1", kind: "List", items }));
        const file = parseKubernetes([{ file: "cluster.json", bytes }], { allowExternalIPs: ALLOWED }).topology;
        expect(topology.services).toEqual([...file.services].sort((a, b) => (a.name < b.name ? -1 : 1)));
        expect(topology.node).toEqual(file.node);
      }),
    );
  });

  test("names what changed, and shares all the rest; what cannot be read stays as it was last", () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
        const live = new LiveKubernetes({ allowExternalIPs: ALLOWED });
        let before = live.state();
        for (const one of steps) {
          take(live, one);
          const after = live.state();
          const old = new Map(before.topology.services.map((service) => [service.name, service]));
          for (const service of after.topology.services) {
            const isSame = old.get(service.name) === service;
            if (after.changed !== "everything") expect(after.changed.has(`default/${service.name}`)).toBe(!isSame);
            if (!isSame) expect(service).not.toEqual(old.get(service.name));
          }
          before = after;
        }
      }),
    );
  });

  test("an object that cannot be read is refused alone, until it can or is gone", () => {
    const live = new LiveKubernetes();
    const service = (port: number, name = "web") =>
      take(
        live,
        step("Service", name, {
          object: { spec: { clusterIP: name === "web" ? "10.96.0.1" : "10.96.0.2", ports: [{ port }] } },
        }),
      );
    service(80);
    service(81, "other");
    const before = live.state();
    service(70_000);
    const refusing = live.state();
    expect(refusing.refused).toMatchObject([
      { entry: "Service default/web", isKept: true, faults: [{ at: { object: "Service default/web" } }] },
    ]);
    expect(refusing.topology).toBe(before.topology);
    service(82);
    expect(live.state()).toMatchObject({ refused: [], changed: new Set(["default/web"]) });
    service(70_000, "new");
    expect(live.state().refused).toMatchObject([{ entry: "Service default/new", isKept: false }]);
    live.remove("Service", "default/new");
    expect(live.state().refused).toEqual([]);
  });

  test("a block of ClusterIPs that holds another address is named, and nothing in it is refused", () => {
    const live = new LiveKubernetes();
    take(live, step("Node", "node1", { object: Object(anyNodeObject()) }));
    take(live, step("ServiceCIDR", "wide", { object: { spec: { cidrs: ["192.168.0.0/16"] } } }));
    take(live, step("ServiceCIDR", "fine", { object: { spec: { cidrs: ["10.96.0.0/12"] } } }));
    const { topology, warnings } = live.state();
    expect(topology.node.serviceCIDRs).toEqual([{ address: "10.96.0.0", prefixLength: 12 }]);
    expect(warnings).toMatchObject([{ code: "SERVICE_CIDR_TOO_WIDE", at: { object: "ServiceCIDR wide" } }]);
  });
});

function anyNodeObject() {
  return { spec: { podCIDR: "10.5.75.0/24" }, status: { addresses: [{ type: "InternalIP", address: "192.168.1.6" }] } };
}

/** As the cluster has it: time of creation, then name. */
function ageOf(object: object | undefined): string {
  const { metadata } = Object(object);
  return `${metadata.creationTimestamp ?? ""} ${metadata.name}`;
}
