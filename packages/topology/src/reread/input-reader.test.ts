import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatSocketAddress } from "../address.ts";
import type { Topology } from "../model.ts";
import { readInput } from "../read-input.ts";
import { loadInput } from "../text/load-documents.ts";
import { InputReader } from "./input-reader.ts";
import type { LoadedFile } from "./read-state.ts";

const loadedTexts = new Map<string, LoadedFile>();

/** The same object for the same text, as for a file that was not loaded anew. */
function loaded(file: string, text: string): LoadedFile {
  const key = JSON.stringify([file, text]);
  const one = loadedTexts.get(key) ?? { file, loaded: loadInput([{ file, bytes: Buffer.from(text) }]) };
  loadedTexts.set(key, one);
  return one;
}

/** `web 10.96.0.1 10.0.0.1:80`: each service with its ClusterIPs and endpoints. */
function servicesOf({ services }: Topology): readonly string[] {
  return services.map(({ name, clusterIPs, ports }) =>
    [name, ...clusterIPs, ...ports.flatMap(({ endpoints }) => endpoints.map(formatSocketAddress))].join(" "),
  );
}

describe("a topology file", () => {
  const service = (
    name: string,
    { vip, port = "80", endpoint = 1 }: { vip: number; port?: string; endpoint?: number },
  ) => `  - { ${name}, clusterIP: 10.96.0.${vip}, ports: [{ port: ${port} }], endpoints: ["10.0.0.${endpoint}:80"] }\n`;
  const topology = (services: readonly string[], { hosts = "{ name: a, address: 192.0.2.1 }", more = "" } = {}) =>
    loaded("t.yaml", `hosts: [${hosts}]\n${more}services:\n${services.join("")}`);
  const [WEB, DNS] = [service("name: web", { vip: 1 }), service("name: dns", { vip: 2 })];
  const OTHER = service("name: other", { vip: 3 });
  const SERVED = ["web 10.96.0.1 10.0.0.1:80", "dns 10.96.0.2 10.0.0.1:80"];

  function reading(...first: readonly string[]) {
    const reader = new InputReader();
    const read = (...files: readonly LoadedFile[]) => {
      const { topology, refused } = reader.read(files);
      return {
        topology,
        services: servicesOf(topology),
        refused: refused.map(({ entry, isKept }) => [entry, isKept]),
        faults: refused.flatMap(({ faults }) => faults),
      };
    };
    if (first.length > 0) read(topology(first));
    return read;
  }

  test("a service with a fault keeps its last good state, with the place of the fault, and the others go on", () => {
    const read = reading(WEB, DNS);
    const bad = service("name: web", { vip: 1, port: "70000", endpoint: 9 });
    const after = read(topology([bad, service("name: dns", { vip: 2, endpoint: 7 })]));
    expect(after.services).toEqual(["web 10.96.0.1 10.0.0.1:80", "dns 10.96.0.2 10.0.0.7:80"]);
    expect(after.refused).toEqual([["service default/web", true]]);
    expect(after.faults).toMatchObject([{ code: "PORT_OUT_OF_RANGE", at: { file: "t.yaml", line: 3 } }]);
    // Its last good state is what was good, not what was read last.
    expect(read(topology([bad, DNS])).services).toEqual(["web 10.96.0.1 10.0.0.1:80", "dns 10.96.0.2 10.0.0.1:80"]);
    expect(read(topology([WEB, DNS])).refused).toEqual([]);
  });

  test("one that never was good is left out", () => {
    const read = reading();
    const bad = service("name: web", { vip: 1, port: "70000" });
    expect(read(topology([bad, DNS]))).toMatchObject({
      services: ["dns 10.96.0.2 10.0.0.1:80"],
      refused: [["service default/web", false]],
    });
  });

  test("of two that want the same, the one that changed is refused, wherever it stands", () => {
    for (const [first, second] of [
      [service("name: web", { vip: 2 }), DNS],
      [WEB, service("name: dns", { vip: 1 })],
    ] as const) {
      const { services, refused } = reading(WEB, DNS)(topology([first, second]));
      expect(services).toEqual(["web 10.96.0.1 10.0.0.1:80", "dns 10.96.0.2 10.0.0.1:80"]);
      expect(refused).toEqual([[first === WEB ? "service default/dns" : "service default/web", true]]);
    }
  });

  test("a last good state that another took the place of meanwhile is left out", () => {
    const read = reading(WEB, DNS);
    const [bad, taker] = [service("name: web", { vip: 1, port: "70000" }), service("name: new", { vip: 1 })];
    const { services, refused } = read(topology([bad, DNS, taker]));
    expect(refused).toEqual(expect.arrayContaining([["service default/new", false]]));
    expect(services).toEqual(["web 10.96.0.1 10.0.0.1:80", "dns 10.96.0.2 10.0.0.1:80"]);
  });

  test("one that lost its name takes nothing away", () => {
    const { services, refused } = reading(WEB, DNS)(topology([service("nmae: web", { vip: 1 }), DNS]));
    expect(services.toSorted()).toEqual(["dns 10.96.0.2 10.0.0.1:80", "web 10.96.0.1 10.0.0.1:80"]);
    expect(refused).toEqual([["a service without a name in t.yaml", false]]);
  });

  test("what a file had after an entry that is broken off stays, and is named", () => {
    const read = reading(WEB, DNS, OTHER);
    const { services, faults } = read(topology([WEB, "  - name: dns\n"]));
    expect(services.toSorted()).toEqual([...SERVED, "other 10.96.0.3 10.0.0.1:80"].toSorted());
    expect(faults.at(-1)).toMatchObject({
      code: "CUT_OFF",
      message: expect.stringContaining("service default/other stays"),
    });
    expect(read(topology([WEB, DNS])).services).toEqual(SERVED);
    expect(read(topology([DNS, service("name: web", { vip: 1 }), "  - name: new\n"])).services.toSorted()).toEqual(
      SERVED.toSorted(),
    );
  });

  test("a broken entry before others keeps nothing that was taken away", () => {
    const { services } = reading(WEB, DNS, OTHER)(topology(["  - name: dns\n", WEB]));
    expect(services.toSorted()).toEqual(SERVED.toSorted());
  });

  test("services that are gone with their key are a fault, an empty list of them is none", () => {
    const read = reading(WEB, DNS);
    const hosts = "hosts:\n  - { name: a, address: 192.0.2.1 }\n";
    expect(() => read(loaded("t.yaml", hosts))).toThrow("lacks `services`, of which it had 2 before");
    expect(read(loaded("t.yaml", `${hosts}services: []\n`)).services).toEqual([]);
    expect(read(loaded("t.yaml", hosts)).services).toEqual([]);
  });

  test("a host with a fault keeps its last good state", () => {
    const { topology: after, refused } = reading(WEB)(
      topology([service("name: web", { vip: 1, endpoint: 5 })], { hosts: "{ name: a, address: 192.0.2.256 }" }),
    );
    expect(after.hosts[0]?.addresses).toEqual(["192.0.2.1"]);
    expect(servicesOf(after)).toEqual(["web 10.96.0.1 10.0.0.5:80"]);
    expect(refused).toEqual([["host a", true]]);
  });

  test("settings that cannot be read are refused where there were good ones, else all is", () => {
    const settings = (bit: number) => topology([WEB], { more: `node: { masqueradeBit: ${bit} }\n` });
    const read = reading();
    expect(() => read(settings(99))).toThrow("masqueradeBit");
    expect(read(settings(5)).topology.node.masqueradeBit).toBe(5);
    expect(read(settings(99))).toMatchObject({
      topology: { node: { masqueradeBit: 5 } },
      refused: [["the node settings", true]],
    });
  });

  test.for([
    { name: "a key of the file that nobody knows", text: `service:\n${WEB}` },
    { name: "no service that could be read", text: `services:\n${service("name: new", { vip: 1, port: "0" })}` },
    { name: "a host that takes the place of a VIP", text: `  - { name: b, address: 10.96.0.1 }\nservices:\n${WEB}` },
  ])("refused as a whole: $name", ({ text }) => {
    const hosts = "hosts:\n  - { name: a, address: 192.0.2.1 }\n";
    expect(() => reading(WEB)(loaded("t.yaml", `${hosts}${text}`))).toThrow();
  });
});

describe("a directory of Kubernetes objects", () => {
  interface Placed {
    readonly vip: number;
    readonly nodePort?: number;
    /** None: without a slice. */
    readonly endpoints?: readonly number[];
  }
  const NODE = loaded(
    "node.yaml",
    "{ apiVersion: v1, kind: Node, metadata: { name: one }, status: { addresses: [{ type: InternalIP, address: 192.0.2.1 }] } }",
  );

  const serviceText = (name: string, { vip, nodePort }: Placed) =>
    `{ apiVersion: v1, kind: Service, metadata: { name: ${name} }, spec: { type: NodePort, clusterIP: 10.96.0.${vip}, ports: [{ port: 80${nodePort === undefined ? "" : `, nodePort: ${nodePort}`} }] } }\n`;
  const sliceText = (name: string, endpoints: readonly number[]) =>
    `{ apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: { name: ${name}-1, labels: { kubernetes.io/service-name: ${name} } }, addressType: IPv4, ports: [{ port: 80, protocol: TCP }], endpoints: [${endpoints.map((last) => `{ addresses: [10.0.0.${last}], nodeName: one }`).join(", ")}] }\n`;
  const both = (name: string, placed: Placed) =>
    loaded(
      `${name}.yaml`,
      `${serviceText(name, placed)}${placed.endpoints === undefined ? "" : `---\n${sliceText(name, placed.endpoints)}`}`,
    );

  test("one Service that cannot be read keeps its last good state, also while others change", () => {
    const reader = new InputReader();
    reader.read([NODE, both("a", { vip: 1, endpoints: [1] }), both("b", { vip: 2, endpoints: [2] })]);
    const bad = loaded(
      "a.yaml",
      `${serviceText("a", { vip: 1 }).replace("port: 80", "port: 0")}---\n${sliceText("a", [3])}`,
    );
    for (const last of [2, 4, 5]) {
      const { topology, refused } = reader.read([NODE, bad, both("b", { vip: 2, endpoints: [last] })]);
      expect(servicesOf(topology)).toEqual(["a 10.96.0.1 10.0.0.3:80", `b 10.96.0.2 10.0.0.${last}:80`]);
      expect(refused).toMatchObject([{ entry: "Service default/a", isKept: true }]);
    }
    const { refused } = reader.read([
      NODE,
      both("a", { vip: 1, endpoints: [1] }),
      both("b", { vip: 2, endpoints: [2] }),
    ]);
    expect(refused).toEqual([]);
  });

  test("the last good state of a Service is the one that was read last, also where it was read alone", () => {
    const reader = new InputReader();
    const b = both("b", { vip: 2, endpoints: [2] });
    reader.read([NODE, both("a", { vip: 1, endpoints: [1] }), b]);
    reader.read([NODE, both("a", { vip: 1, nodePort: 30_001, endpoints: [1] }), b]);
    const bad = loaded("a.yaml", `${serviceText("a", { vip: 1 }).replace("port: 80", "port: 0")}`);
    const { topology, refused } = reader.read([NODE, bad, b]);
    expect(topology.services.map(({ ports }) => ports[0]?.nodePort)).toEqual([30_001, undefined]);
    expect(refused).toMatchObject([{ entry: "Service default/a", isKept: true }]);
  });

  test.for([
    "apiVer",
    "- 1\n",
    "apiVersion: v1\n",
    "apiVersion: v1\nkind:\n",
    "apiVersion: v1\nkind: Serv\n---\napiVersion: v1\n",
  ])("a file that is cut off to %j keeps its Services, also for the next reader, and holds up no other", (text) => {
    const reader = new InputReader();
    reader.read([NODE, both("a", { vip: 1, endpoints: [1] }), both("b", { vip: 2, endpoints: [2] })]);
    const cut = loaded("a.yaml", text);
    const { topology, refused, kept } = reader.read([NODE, cut, both("b", { vip: 2, endpoints: [3] })]);
    const expected = ["a 10.96.0.1 10.0.0.1:80", "b 10.96.0.2 10.0.0.3:80"];
    expect([...servicesOf(topology)].sort()).toEqual(expected);
    expect(refused[0]).toMatchObject({ isKept: true, faults: [{ at: { file: "a.yaml" } }] });
    const next = new InputReader({}, kept).read([NODE, cut, both("b", { vip: 2, endpoints: [3] })]);
    expect([...servicesOf(next.topology)].sort()).toEqual(expected);
    const whole = reader.read([NODE, both("a", { vip: 1, endpoints: [4] }), both("b", { vip: 2, endpoints: [3] })]);
    expect(servicesOf(whole.topology)).toEqual(["a 10.96.0.1 10.0.0.4:80", "b 10.96.0.2 10.0.0.3:80"]);
    expect(whole.refused).toEqual([]);
  });

  test("a JSON file whose last entry has a fault is whole: what followed that entry before is gone", () => {
    const reader = new InputReader();
    const json = (...services: readonly object[]) =>
      loaded("web.json", JSON.stringify({ hosts: [{ name: "one", address: "192.0.2.1" }], services }));
    const web = (name: string, clusterIP: string) => ({ name, clusterIP, ports: [{ port: 80 }], endpoints: [] });
    reader.read([json(web("a", "10.96.0.1"), web("b", "10.96.0.2"), web("c", "10.96.0.3"))]);
    const { topology, refused } = reader.read([json(web("a", "10.96.0.1"), web("b", "10.96.0.300"))]);
    expect(topology.services.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(refused).toMatchObject([{ entry: "service default/b", isKept: true }]);
  });

  test.for([
    ["what is left of it is a list without items", "apiVersion: v1\nkind: List\nitems:\n"],
    ["an item is not there", `apiVersion: v1\nkind: List\nitems:\n- ${serviceText("a", { vip: 1 })}- \n`],
    ["an item has no kind", `apiVersion: v1\nkind: List\nitems:\n- ${serviceText("a", { vip: 1 })}- apiVersion: v1\n`],
    ["a Service has no name", "apiVersion: v1\nkind: Service\nmetadata:\n"],
  ] as const)("a file with a list keeps the Services that it had where %s", ([, cut]) => {
    const reader = new InputReader();
    const list = `apiVersion: v1\nkind: List\nitems:\n- ${serviceText("a", { vip: 1 })}- ${serviceText("b", { vip: 2 })}`;
    reader.read([NODE, loaded("list.yaml", list), both("c", { vip: 3, endpoints: [3] })]);
    const files = [NODE, loaded("list.yaml", cut), both("c", { vip: 3, endpoints: [4] })];
    const { topology, refused, kept } = reader.read(files);
    const expected = ["a 10.96.0.1", "b 10.96.0.2", "c 10.96.0.3 10.0.0.4:80"];
    expect([...servicesOf(topology)].sort()).toEqual(expected);
    expect(refused).toHaveLength(1);
    expect([...servicesOf(reader.read(files).topology)].sort()).toEqual(expected);
    expect([...servicesOf(new InputReader({}, kept).read(files).topology)].sort()).toEqual(expected);
    const whole = reader.read([NODE, loaded("list.yaml", list), both("c", { vip: 3, endpoints: [4] })]);
    expect([servicesOf(whole.topology), whole.refused]).toEqual([expected, []]);
  });

  test("what shares nothing with what changed is the very same", () => {
    const reader = new InputReader();
    const files = ["a", "b", "c"].map((name, index) => both(name, { vip: index + 1, endpoints: [index + 1] }));
    const before = reader.read([NODE, ...files]).topology;
    const after = reader.read([NODE, both("a", { vip: 1, endpoints: [9] }), ...files.slice(1)]).topology;
    expect(servicesOf(after)[0]).toBe("a 10.96.0.1 10.0.0.9:80");
    expect(after.services[1]).toBe(before.services[1]);
    expect(after.hosts).toBe(before.hosts);
  });

  const names = ["a", "b", "c", "d"] as const;
  const placed: fc.Arbitrary<Placed> = fc.record(
    {
      // Few, so that they collide.
      vip: fc.integer({ min: 1, max: 8 }),
      nodePort: fc.constantFrom(30001, 30002, 30003),
      endpoints: fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 3 }),
    },
    { requiredKeys: ["vip"] },
  );
  const anyStep = fc.tuple(fc.constantFrom(...names, "shared"), fc.option(placed));

  test("after any walk of changes, all is as a reader that sees it for the first time has it", () => {
    fc.assert(
      fc.property(fc.array(anyStep, { minLength: 1, maxLength: 30 }), (steps) => {
        const reader = new InputReader();
        const files = new Map<string, LoadedFile>([["node.yaml", NODE]]);
        for (const [name, what] of steps) {
          const file = `${name}.yaml`;
          if (what === null) files.delete(file);
          else if (name === "shared") files.set(file, loaded(file, sliceText("a", what.endpoints ?? [])));
          else files.set(file, both(name, what));
          const now = [...files.values()].sort((x, y) => (x.file < y.file ? -1 : 1));
          const fresh = readFresh(now);
          // What cannot be read whole is another matter: then it counts what was good before.
          if (fresh === undefined) return;
          const { topology, refused } = reader.read(now);
          expect(refused).toEqual([]);
          expect(withoutPods(topology)).toEqual(withoutPods(fresh));
        }
      }),
      { numRuns: 300 },
    );
  });

  function readFresh(files: readonly LoadedFile[]): Topology | undefined {
    try {
      return readInput({ documents: files.flatMap(({ loaded: { documents } }) => documents), faults: [] }).topology;
    } catch {
      return undefined;
    }
  }

  function withoutPods(topology: Topology): Topology {
    return { ...topology, hosts: topology.hosts.map((host) => ({ ...host, pods: [] })) };
  }
});
