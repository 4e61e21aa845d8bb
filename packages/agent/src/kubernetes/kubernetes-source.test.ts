import { inputError, parseIpAddress, parseProxyConfiguration, parseTopology } from "@svcproxy/topology";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { SourceEvent, SourceSnapshot } from "../source.ts";
import { clusterObjects } from "../testing/cluster-objects.ts";
import type { ClusterObject } from "../testing/cluster-store.ts";
import { describeSource } from "../testing/source-contract.ts";
import { TestApiServer } from "../testing/test-api-server.ts";
import { ApiClient } from "./api-client.ts";
import { KubernetesSource, type KubernetesSourceOptions } from "./kubernetes-source.ts";

const QUICK = { firstRetryMs: 1, longestRetryMs: 20, graceMs: 200, settleMs: 10 };

function clientOf(server: TestApiServer): ApiClient {
  return new ApiClient({ server: server.url, skipsVerification: false, user: {} }, { version: "0" });
}

for (const canStream of [true, false]) {
  describeSource(
    canStream ? "a cluster" : "a cluster with etcd 3.4",
    async () => {
      const server = await TestApiServer.start();
      server.canStream = canStream;
      const client = clientOf(server);
      return {
        source: new KubernetesSource({ client, node: "a", ...QUICK }),
        write: async (text) => {
          const { topology } = parseTopology(Buffer.from(text), { file: "topology.yaml" });
          for (const [kind, objects] of clusterObjects(topology)) server.store.replace(kind, objects);
          server.script = () => undefined;
        },
        spoilEntry: async (key) => {
          const found = server.store
            .list("/api/v1/services")
            .find(({ metadata }) => key === `${metadata.namespace}/${metadata.name}`);
          if (found === undefined) throw new TypeError(`there is no ${key}`);
          server.store.put({ ...found, spec: { ...Object(found["spec"]), ports: [{ port: 70000 }] } });
        },
        spoil: async () => {
          server.script = () => ({ recorded: "403-nobody" });
          await server.kill();
          await server.listen();
        },
        [Symbol.asyncDispose]: async () => {
          client[Symbol.dispose]();
          await server[Symbol.asyncDispose]();
        },
      };
    },
    { mayFallSilent: true, seesFirstHostOnly: true },
  );
}

let server: TestApiServer;
beforeEach(async () => {
  server = await TestApiServer.start();
});
afterEach(() => server[Symbol.asyncDispose]());

const NODE = {
  ...{ apiVersion: "v1", kind: "Node", metadata: { name: "cloudos1" }, spec: { podCIDR: "10.5.75.0/24" } },
  status: { addresses: [{ type: "InternalIP", address: "192.168.1.6" }] },
};

function service(name: string, clusterIP: string, more: object = {}): ClusterObject {
  return {
    ...{ apiVersion: "v1", kind: "Service", metadata: { name, namespace: "default" } },
    spec: { clusterIP, ports: [{ port: 80 }], ...more },
  };
}

function slice(owner: string, ...addresses: readonly string[]): ClusterObject {
  return {
    ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
    metadata: { name: `${owner}-1`, namespace: "default", labels: { "kubernetes.io/service-name": owner } },
    ports: [{ name: "", port: 8080, protocol: "TCP" }],
    endpoints: addresses.map((address) => ({ addresses: [address], nodeName: "cloudos1" })),
  };
}

function follow(options: Partial<KubernetesSourceOptions> = {}) {
  const client = clientOf(server);
  const source = new KubernetesSource({ client, node: "cloudos1", ...QUICK, ...options });
  const ending = new AbortController();
  onTestFinished(() => {
    ending.abort();
    client[Symbol.dispose]();
  });
  const events = source.follow(ending.signal);
  const next = async (): Promise<SourceEvent> => {
    const { value } = await events.next();
    if (value === undefined) throw new Error("it ended");
    return value;
  };
  const snapshot = async (isIt: (one: SourceSnapshot) => boolean = () => true): Promise<SourceSnapshot> => {
    for (;;) {
      const event = await next();
      if (event.kind === "snapshot" && isIt(event)) return event;
    }
  };
  return { source, next, snapshot };
}

const endpointsOf = ({ topology }: SourceSnapshot) =>
  topology.services.flatMap(({ ports }) => ports.flatMap(({ endpoints }) => endpoints.map(({ address }) => address)));

test("is asked for with kube-proxy's selectors, of nodes its own alone, and by GET alone", async () => {
  server.store.put(NODE);
  await follow().snapshot();
  const selectors = server.requests.map(({ path, query }) => [
    path,
    query.get("labelSelector"),
    query.get("fieldSelector"),
  ]);
  expect(selectors.sort()).toEqual([
    ["/api/v1/nodes", null, "metadata.name=cloudos1"],
    ["/api/v1/services", "!service.kubernetes.io/service-proxy-name", "spec.clusterIP!=None"],
    ["/apis/discovery.k8s.io/v1/endpointslices", "!service.kubernetes.io/headless", null],
    ["/apis/networking.k8s.io/v1/servicecidrs", null, null],
  ]);
});

test("a configuration that cannot be taken is refused until one is, whether the API server is there or not", async () => {
  server.store.put(NODE);
  const { source, snapshot, next } = follow();
  await snapshot();
  const fault = inputError("BAD_VALUE", "mode: that is none");
  source.refuseConfiguration("/config.conf", fault);
  const refusal = { entry: "configuration /config.conf", isKept: true, problems: [{ text: "mode: that is none" }] };
  expect((await snapshot()).refused).toMatchObject([refusal]);
  await server.kill();
  expect(await next()).toMatchObject({
    kind: "problem",
    problems: [{ code: "API_UNREACHABLE" }, { code: "BAD_VALUE" }],
  });
  await server.listen();
  expect((await snapshot()).refused).toMatchObject([refusal]);
  const postponed = { code: "NO_EFFECT", severity: "warning", subject: "x", text: "later" } as const;
  const text = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
  source.configure(parseProxyConfiguration({ file: "config.conf", bytes: Buffer.from(text) }), [postponed]);
  expect(await snapshot()).toMatchObject({ refused: [], warnings: expect.arrayContaining([postponed]) });
});

test("a slice that changes is one service that changes, and is counted; the block of ClusterIPs is known", async () => {
  server.store.put(NODE);
  server.store.put({
    ...{ apiVersion: "networking.k8s.io/v1", kind: "ServiceCIDR", metadata: { name: "kubernetes" } },
    spec: { cidrs: ["10.96.0.0/12"] },
  });
  server.store.put(service("one", "10.96.0.1"));
  server.store.put(service("two", "10.96.0.2"));
  server.store.put(slice("one", "10.5.75.2", "10.5.88.2"));
  const { source, snapshot } = follow();
  const before = await snapshot();
  expect(source.objectChanges()).toMatchObject({ services: { total: 2 }, endpoints: { total: 1 } });
  expect(before.topology.node.serviceCIDRs).toEqual([{ address: "10.96.0.0", prefixLength: 12 }]);
  expect(before.topology.hosts).toMatchObject([{ name: "cloudos1", addresses: ["192.168.1.6"] }]);
  server.store.put(slice("one", "10.5.75.9"));
  const after = await snapshot();
  expect(after.changed).toEqual(new Set(["default/one"]));
  expect(source.objectChanges()).toEqual({ services: { total: 2, pending: 0 }, endpoints: { total: 2, pending: 0 } });
  expect(endpointsOf(after)).toEqual(["10.5.75.9"]);
  expect(after.topology.services[0]?.ports[0]?.endpoints[0]?.host).toBe("cloudos1");
  expect(after.topology.services[1]).toBe(before.topology.services[1]);
});

test("a change of endpoints says when it began, as its writer noted it: once, and not what was there at the start", async () => {
  server.store.put(NODE);
  server.store.put(service("one", "10.96.0.1"));
  const noted = (at: Date, ...addresses: readonly string[]) => {
    const plain = slice("one", ...addresses);
    const annotations = { "endpoints.kubernetes.io/last-change-trigger-time": at.toISOString() };
    return { ...plain, metadata: { ...plain.metadata, annotations } };
  };
  server.store.put(noted(new Date(Date.now() - 60_000), "10.5.75.2"));
  const { snapshot } = follow();
  expect(await snapshot()).toMatchObject({ begun: [] });
  const at = new Date(Date.now() + 1_000);
  server.store.put(noted(at, "10.5.75.9"));
  expect(await snapshot()).toMatchObject({ begun: [{ service: "default/one", family: 4, at }] });
  server.store.put(service("two", "10.96.0.2"));
  expect(await snapshot()).toMatchObject({ begun: [] });
});

describe("the node", () => {
  test("that is not there yet is waited for, and named", async () => {
    const { next } = follow();
    expect(await next()).toMatchObject({ kind: "problem", problems: [{ code: "NO_SUCH_NODE" }] });
    server.store.put(NODE);
    expect(await next()).toMatchObject({ kind: "snapshot" });
  });

  test("whose podCIDR comes later is waited for where pods are told by it", async () => {
    server.store.put({ ...NODE, spec: {} });
    server.store.put(service("one", "10.96.0.1"));
    const { next } = follow({ needsPodCIDR: true });
    expect(await next()).toMatchObject({
      problems: [{ code: "NODE_INCOMPLETE", text: expect.stringMatching(/no podCIDR yet/) }],
    });
    server.store.put(NODE);
    const event = await next();
    expect(event).toMatchObject({ kind: "snapshot", topology: { hosts: [{ podCIDRs: [{ address: "10.5.75.0" }] }] } });
  });

  test("whose podCIDR and addresses change has others from then on", async () => {
    server.store.put(NODE);
    const { snapshot } = follow();
    await snapshot();
    server.store.put({
      ...NODE,
      spec: { podCIDR: "10.5.99.0/24" },
      status: { addresses: [{ type: "InternalIP", address: "192.168.1.99" }] },
    });
    const after = await snapshot();
    expect(after.changed).toBe("everything");
    expect(after.topology.hosts).toMatchObject([{ addresses: ["192.168.1.99"], podCIDRs: [{ address: "10.5.99.0" }] }]);
  });

  test("that is deleted stays as it was, which is said, and is back", async () => {
    server.store.put(NODE);
    server.store.put(service("one", "10.96.0.1"));
    const { source, snapshot } = follow();
    const before = await snapshot();
    expect(source.isNodeEligible()).toBe(true);
    server.store.delete("Node", "cloudos1");
    const gone = await snapshot();
    expect(gone.topology).toBe(before.topology);
    expect(gone.warnings).toMatchObject([{ code: "NO_SUCH_NODE" }]);
    expect(source.isNodeEligible()).toBe(false);
    server.store.put(service("two", "10.96.0.2"));
    expect((await snapshot()).topology.services).toHaveLength(2);
    server.store.put(NODE);
    expect((await snapshot(({ warnings }) => warnings.length === 0)).topology.services).toHaveLength(2);
    expect(source.isNodeEligible()).toBe(true);
  });

  test("that is back without an address and a podCIDR keeps what it had, which is said, until it has others", async () => {
    server.store.put(NODE);
    const { snapshot } = follow();
    const before = await snapshot();
    server.store.delete("Node", "cloudos1");
    await snapshot();
    server.store.put({ ...NODE, spec: {}, status: {} });
    const bare = await snapshot(({ warnings }) => warnings.some(({ code }) => code === "NO_NODE_ADDRESS"));
    expect(bare.topology).toBe(before.topology);
    expect(bare.refused).toEqual([]);
    expect(bare.warnings.map(({ text }) => text)).toEqual([
      expect.stringMatching(/no podCIDR any more; the one that it had stays in force here$/),
      expect.stringMatching(/it has no InternalIP, so what it had stays in force$/),
    ]);
    const status = { addresses: [{ type: "InternalIP", address: "192.168.1.7" }] };
    server.store.put({ ...NODE, spec: {}, status });
    const addressed = await snapshot(({ topology }) => topology !== before.topology);
    expect(addressed.topology.hosts).toMatchObject([
      { addresses: ["192.168.1.7"], podCIDRs: [{ address: "10.5.75.0" }] },
    ]);
    server.store.put({ ...NODE, spec: { podCIDR: "10.5.99.0/24" }, status });
    const whole = await snapshot(({ warnings }) => warnings.length === 0);
    expect(whole.topology.hosts).toMatchObject([{ podCIDRs: [{ address: "10.5.99.0" }] }]);
  });

  test("that cannot be read is refused, and what it had stays; one that never could be is waited for", async () => {
    server.store.put({ ...NODE, spec: { podCIDR: "10.5.75.0/99" } });
    const { next, snapshot } = follow();
    expect(await next()).toMatchObject({
      kind: "problem",
      problems: [{ code: "NODE_INCOMPLETE", text: expect.stringContaining("10.5.75.0/99") }],
    });
    server.store.put(NODE);
    const before = await snapshot();
    server.store.put({ ...NODE, spec: { podCIDR: "10.5.75.0/99" } });
    const after = await snapshot(({ refused = [] }) => refused.length > 0);
    expect(after.topology).toBe(before.topology);
    expect(after.refused).toMatchObject([{ entry: "Node cloudos1", isKept: true, problems: [{ code: "BAD_CIDR" }] }]);
  });

  test("that the autoscaler is about to take away is not eligible", async () => {
    server.store.put(NODE);
    const { source, snapshot } = follow();
    await snapshot();
    const taints = [{ key: "ToBeDeletedByClusterAutoscaler", effect: "NoSchedule" }];
    server.store.put({ ...NODE, spec: { ...NODE.spec, taints } });
    await expect.poll(() => source.isNodeEligible()).toBe(false);
    server.store.put(NODE);
    await expect.poll(() => source.isNodeEligible()).toBe(true);
  });
});

describe("what is not served", () => {
  test("external IPs that nobody allowed, and how many services that leaves out is said once", async () => {
    server.store.put(NODE);
    server.store.put(service("one", "10.96.0.1", { externalIPs: ["203.0.113.1"] }));
    server.store.put(service("two", "10.96.0.2", { externalIPs: ["203.0.113.2"] }));
    server.store.put(service("three", "10.96.0.3"));
    const { snapshot } = follow();
    const { topology, warnings } = await snapshot();
    expect(topology.services.flatMap(({ externalIPs }) => externalIPs)).toEqual([]);
    server.store.put(service("four", "10.96.0.4"));
    expect((await snapshot()).warnings).toEqual(warnings);
    expect(warnings).toMatchObject([
      { code: "EXTERNAL_IP_REFUSED", text: expect.stringMatching(/those of 2 Services: /) },
    ]);
  });

  test("external IPs that somebody allowed are", async () => {
    const address = parseIpAddress("203.0.113.0");
    if (address === undefined) throw new TypeError("not an address");
    server.store.put(NODE);
    server.store.put(service("one", "10.96.0.1", { externalIPs: ["203.0.113.1"] }));
    const { topology, warnings } = await follow({ allowExternalIPs: [{ address, prefixLength: 24 }] }).snapshot();
    expect(topology.services[0]?.externalIPs).toEqual(["203.0.113.1"]);
    expect(warnings).toEqual([]);
  });

  test("an ExternalName, a load balancer's IP of ipMode Proxy, and a slice of names", async () => {
    server.store.put(NODE);
    server.store.put(service("name", "", { type: "ExternalName", externalName: "example.test", clusterIP: "" }));
    const ingress = [{ ip: "203.0.113.7", ipMode: "Proxy" }, { ip: "203.0.113.8" }];
    server.store.put({
      ...service("lb", "10.96.0.9", { type: "LoadBalancer" }),
      status: { loadBalancer: { ingress } },
    });
    server.store.put({ ...slice("lb", "example.test"), addressType: "FQDN" });
    const { topology } = await follow().snapshot();
    expect(
      topology.services.map(({ name, clusterIPs, loadBalancerIPs }) => [name, clusterIPs, loadBalancerIPs]),
    ).toEqual([
      ["lb", ["10.96.0.9"], ["203.0.113.8"]],
      ["name", [], []],
    ]);
  });

  test("the younger of two that claim one external address, until the older goes", async () => {
    const address = parseIpAddress("203.0.113.0");
    if (address === undefined) throw new TypeError("not an address");
    server.store.put(NODE);
    server.store.put(service("z-older", "10.96.0.1", { externalIPs: ["203.0.113.1"] }));
    server.store.put(service("a-younger", "10.96.0.2", { externalIPs: ["203.0.113.1"] }));
    const { snapshot } = follow({ allowExternalIPs: [{ address, prefixLength: 24 }] });
    const before = await snapshot();
    expect(before.topology.services.map(({ externalIPs }) => externalIPs.length)).toEqual([0, 1]);
    server.store.delete("Service", "default/z-older");
    expect((await snapshot()).topology.services).toMatchObject([{ name: "a-younger", externalIPs: ["203.0.113.1"] }]);
  });
});

describe("a server that says nothing", () => {
  test("because nothing happens: it is asked, and was heard", async () => {
    server.store.put(NODE);
    const { source, snapshot } = follow({ silenceMs: 60 });
    await snapshot();
    const heard = source.lastHeard()?.getTime() ?? 0;
    await expect.poll(() => source.lastHeard()?.getTime()).toBeGreaterThan(heard);
    expect(server.requests.some(({ query }) => query.get("limit") === "1")).toBe(true);
  });

  test("because its store was set back: everything is asked for anew, and no silence hides it", async () => {
    server.store.put(NODE);
    server.store.put(service("one", "10.96.0.1"));
    for (let count = 0; count < 20; count++) server.store.put(service("two", "10.96.0.2", { count }));
    const { snapshot } = follow({ silenceMs: 60 });
    await snapshot();
    // Without an event: as if it had happened behind the server's back.
    server.store.restore(50);
    server.store.put(service("three", "10.96.0.3"));
    const after = await snapshot(({ topology }) => topology.services.some(({ name }) => name === "three"));
    expect(after.topology.services.map(({ name }) => name)).toEqual(["one", "three", "two"]);
  });
});

test("a server that is back is followed at once, however long the pause would be that failures have made", async () => {
  server.store.put(NODE);
  server.store.put(service("one", "10.96.0.1"));
  const hour = 3_600_000;
  const { next, snapshot } = follow({ firstRetryMs: hour, longestRetryMs: hour, silenceMs: 60 });
  await snapshot();
  await server.kill();
  expect(await next()).toMatchObject({ kind: "problem" });
  server.store.put(service("two", "10.96.0.2"));
  server.store.put(slice("one", "10.5.75.2"));
  await server.listen();
  const after = await snapshot((one) => one.topology.services.length === 2 && endpointsOf(one).length === 1);
  expect(after.refused).toEqual([]);
});

test("watches that are opened and break off at once, again and again, are told", async () => {
  server.store.put(NODE);
  const { next, snapshot } = follow({ firstRetryMs: 100 });
  await snapshot();
  await server.kill();
  server.script = ({ query }) => (query.get("watch") === "true" ? { body: "what is this\n" } : undefined);
  await server.listen();
  const told = async (): Promise<string> => {
    const event = await next();
    const texts = event.kind === "problem" ? event.problems.map(({ text }) => text).join() : "";
    return /is not JSON/.test(texts) ? texts : told();
  };
  expect(await told()).toContain("a line of the answer is not JSON: what is this");
  server.script = () => undefined;
  server.store.put(service("one", "10.96.0.1"));
  expect((await snapshot(({ topology }) => topology.services.length === 1)).refused).toEqual([]);
});

test.for(["403-nobody", "unknown-path"])(
  "ServiceCIDRs that a server which has just started refuses (%s) are asked for again soon",
  async (recorded) => {
    server.store.put(NODE);
    const cidr = { apiVersion: "networking.k8s.io/v1", kind: "ServiceCIDR", metadata: { name: "kubernetes" } };
    server.store.put({ ...cidr, spec: { cidrs: ["10.96.0.0/12"] } });
    server.script = ({ path }) => (path.endsWith("/servicecidrs") ? { recorded } : undefined);
    const { snapshot } = follow();
    const without = await snapshot();
    expect([without.topology.node.serviceCIDRs, without.refused]).toEqual([[], []]);
    server.script = () => undefined;
    const after = await snapshot(({ topology }) => topology.node.serviceCIDRs.length > 0);
    expect(after.topology.node.serviceCIDRs).toMatchObject([{ address: "10.96.0.0", prefixLength: 12 }]);
  },
);

test("what events say has gone is meant to go, what a list lacks is not", async () => {
  server.store.put(NODE);
  for (const number of [1, 2, 3]) server.store.put(service(`web${number}`, `10.96.0.${number}`));
  const { snapshot } = follow();
  const of = async (count: number) => (await snapshot(({ topology }) => topology.services.length === count)).isMeant;
  expect(await of(3)).toBe(false);
  server.store.delete("Service", "default/web3");
  expect(await of(2)).toBe(true);
  await server.kill();
  server.store.delete("Service", "default/web2");
  server.store.compact();
  await server.listen();
  expect(await of(1)).toBe(false);
  server.store.delete("Service", "default/web1");
  expect(await of(0)).toBe(true);
});

test("what cannot be followed alone is an entry that is refused, and holds up nothing else", async () => {
  server.store.put(NODE);
  server.store.put(service("one", "10.96.0.1"));
  const { snapshot } = follow();
  await snapshot();
  server.script = ({ path }) => (path.endsWith("/endpointslices") ? { recorded: "403-nobody" } : undefined);
  await server.kill();
  await server.listen();
  const refusing = await snapshot(({ refused = [] }) => refused.length === 1);
  expect(refusing.refused).toMatchObject([
    { entry: expect.stringMatching(/^endpointslices/), problems: [{ code: "API_REFUSED" }] },
  ]);
  server.store.put(service("two", "10.96.0.2"));
  expect((await snapshot(({ topology }) => topology.services.length === 2)).refused).toHaveLength(1);
  server.script = () => undefined;
  expect((await snapshot(({ refused = [] }) => refused.length === 0)).topology.services).toHaveLength(2);
});
