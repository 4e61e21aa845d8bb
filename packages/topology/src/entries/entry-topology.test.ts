import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { formatEntryKey, parseEntryKey } from "./entry-key.ts";
import { type CurrentEntry, EntryTopology } from "./entry-topology.ts";
import { layerEndpoints } from "./layer-endpoints.ts";
import { loadEntry } from "./load-entry.ts";
import { readRegisteredEndpoint } from "./read-endpoint.ts";
import { joinTopology, renderEntry, splitTopology } from "./split-topology.ts";

describe("keys", () => {
  test.for([
    { key: { kind: "host", name: "web1" }, text: "hosts/web1" },
    { key: { kind: "service", namespace: "default", name: "a/b%\n" }, text: "services/default/a%2Fb%25%0A" },
    { key: { kind: "settings" }, text: "settings" },
    { key: { kind: "endpoint", namespace: "n", service: "s", id: "[fd00::1]:80" }, text: "endpoints/n/s/[fd00::1]:80" },
  ] as const)("$text is read back", ({ key, text }) => {
    expect(formatEntryKey(key)).toBe(text);
    expect(parseEntryKey(text)).toEqual(key);
  });

  test.for([
    "hosts",
    "hosts/",
    "hosts/a/b",
    "service/default/a",
    "services/a",
    "endpoints/a/b",
    "settings/x",
    "hosts/%zz",
  ])("%j is none", (text) => {
    expect(parseEntryKey(text)).toBeUndefined();
  });
});

const HOST_A = "address: 192.0.2.1\npodCIDR: 10.1.0.0/24\npods: [{ name: p, address: '10.1.0.9:80' }]";
const WEB = "clusterIP: 10.96.0.1\nports: [{ port: 80, nodePort: 30080 }]\nendpoints: [p]";
const DNS = "clusterIP: 10.96.0.2\nports: [{ port: 53 }]\nendpoints: ['10.1.0.8:53']";

describe("an entry that is wrong", () => {
  test("keeps its last good state, is named with its place, and holds up no other", () => {
    const store = new Store({ "hosts/a": HOST_A, "services/default/web": WEB, "services/default/dns": DNS });
    const before = store.read();
    expect(before.refused).toEqual([]);
    store.put("services/default/web", "clusterIP: 10.96.0.300\nports: [{ port: 80 }]", 7);
    store.put("services/default/dns", DNS.replace("10.96.0.2", "10.96.0.3"));
    const { topology, refused } = store.read();
    expect(topology.services.map(({ clusterIPs }) => clusterIPs)).toEqual([["10.96.0.3"], ["10.96.0.1"]]);
    expect(refused).toMatchObject([
      {
        key: "services/default/web",
        outcome: "kept",
        faults: [{ code: "BAD_ADDRESS", at: { file: "services/default/web (revision 7)", line: 1, column: 12 } }],
      },
    ]);
  });

  test("is left out where it never was right", () => {
    const store = new Store({ "hosts/a": HOST_A, "services/default/web": "ports: [" });
    expect(store.read()).toMatchObject({ topology: { services: [] }, refused: [{ outcome: "left out" }] });
  });

  test("is the one that changed, where two do not go together, whatever their order", () => {
    const store = new Store({ "hosts/a": HOST_A, "services/default/web": WEB });
    store.read();
    store.put("services/default/api", WEB.replace("10.96.0.1", "10.96.0.9"));
    const { topology, refused } = store.read();
    expect(topology.services.map(({ name }) => name)).toEqual(["web"]);
    expect(refused).toMatchObject([
      { key: "services/default/api", faults: [{ code: "DUPLICATE_NODE_PORT", hint: expect.stringContaining("web") }] },
    ]);
  });

  test("is the host, where an old service cannot be read with it", () => {
    const store = new Store({ "hosts/a": HOST_A, "services/default/web": WEB });
    store.read();
    store.put("hosts/b", "address: 10.96.0.1");
    const { topology, refused } = store.read();
    expect([topology.hosts.length, topology.services.length]).toEqual([1, 1]);
    expect(refused).toMatchObject([{ key: "hosts/b", faults: [{ code: "VIP_IS_HOST_ADDRESS" }] }]);
  });

  test("may be right again", () => {
    const store = new Store({ "hosts/a": HOST_A, "services/default/web": WEB });
    store.read();
    store.put("services/default/web", "nonsense");
    store.read();
    store.put("services/default/web", WEB.replace("30080", "30081"));
    const { topology, refused } = store.read();
    expect(refused).toEqual([]);
    expect(topology.services[0]?.ports[0]?.nodePort).toBe(30081);
  });
});

test("a service whose pods are gone keeps their addresses, for as long as it names them", () => {
  const store = new Store({ "hosts/a": HOST_A, "services/default/web": WEB });
  store.read();
  store.put("hosts/a", "address: 192.0.2.1");
  for (let round = 0; round < 3; round++) {
    const { topology, refused } = store.read();
    expect(topology.services[0]?.ports[0]?.endpoints).toMatchObject([{ address: "10.1.0.9", port: 80 }]);
    expect(refused).toMatchObject([{ key: "services/default/web", outcome: "kept" }]);
  }
});

describe("a file", () => {
  test("taken apart and put together is the same, in its order", () => {
    const text =
      "hosts:\n  - name: b\n    address: 192.0.2.2\n  - name: a\n    address: 192.0.2.1\nservices:\n  - name: web\n    namespace: shop\n    id: '07'\n    clusterIP: 10.96.0.1\n    ports:\n      - port: 80\n  - name: dns\n    clusterIP: 10.96.0.2\n    ports:\n      - port: 53\nnode:\n  masqueradeBit: 15\n";
    const split = splitTopology({ file: "f", bytes: Buffer.from(text) });
    const entries = [...split.entries].map(([path, value]) => {
      const key = parseEntryKey(path);
      if (key === undefined) throw new Error(path);
      return { key, value: loadEntry({ key, label: path, bytes: Buffer.from(renderEntry(value)) }).value };
    });
    expect(renderEntry(joinTopology(entries, split.order))).toBe(text);
  });
});

describe("who registered", () => {
  test("serves beside what is listed, by the port of the service or its own, on the host that it is on", () => {
    const store = new Store({ "hosts/a": HOST_A, "services/default/web": WEB });
    const { topology } = store.layer({ x: "address: 10.1.0.7:81" });
    expect(topology.services[0]?.ports[0]?.endpoints).toMatchObject([
      { address: "10.1.0.9", pod: "p" },
      { address: "10.1.0.7", port: 81, host: "a", ready: true },
    ]);
    store.put("services/default/web", WEB.replace("port: 80,", "port: 80, targetPort: 8080,"));
    expect(store.layer({ x: "address: 10.1.0.7:81" }).topology.services[0]?.ports[0]?.endpoints[1]?.port).toBe(8080);
  });

  test("is taken out by its registration, its pod or its address, and serves only where nobody else does", () => {
    const store = new Store({ "hosts/a": HOST_A, "services/default/web": WEB });
    for (const [endpoint, index] of [
      ["x", 1],
      ["p", 0],
      ["10.1.0.7:81", 1],
    ] as const) {
      const { topology } = store.layer({ x: "address: 10.1.0.7:81" }, [
        { namespace: "default", service: "web", endpoint },
      ]);
      const endpoints = topology.services[0]?.ports[0]?.endpoints ?? [];
      expect(endpoints[index]).toMatchObject({ ready: false, serving: true, terminating: true });
      expect(endpoints[1 - index]).toMatchObject({ ready: true });
    }
  });

  test("for a service that is not there, or of another family, is named", () => {
    const store = new Store({ "hosts/a": HOST_A });
    expect(store.layer({ x: "address: 10.1.0.7:81" }).problems).toMatchObject([{ code: "UNKNOWN_SERVICE" }]);
    store.put("services/default/web", WEB);
    const { problems, topology } = store.layer({ x: "address: '[fd00::7]:81'" });
    expect(problems).toMatchObject([{ code: "MIXED_FAMILIES" }]);
    expect(topology.services[0]?.ports[0]?.endpoints).toHaveLength(1);
  });

  test.for([
    { value: "address: 10.1.0.1:99999", code: "PORT_OUT_OF_RANGE" },
    { value: "addres: 10.1.0.1:80", code: "UNKNOWN_KEY" },
    { value: "ready: false", code: "MISSING_KEY" },
    { value: "- 1", code: "WRONG_TYPE" },
  ])("$value is refused: $code", ({ value, code }) => {
    const key = { kind: "endpoint", namespace: "n", service: "s", id: "i" } as const;
    const read = () => readRegisteredEndpoint(loadEntry({ key, label: "k", bytes: Buffer.from(value) }));
    expect(read).toThrow(expect.objectContaining({ code }));
  });
});

/** Entries as a store has them. */
class Store {
  readonly #entries = new Map<string, CurrentEntry>();
  readonly #topology = new EntryTopology();

  constructor(texts: Readonly<Record<string, string>>) {
    for (const [path, text] of Object.entries(texts)) this.put(path, text);
  }

  put(path: string, text: string, revision = 1): void {
    const key = parseEntryKey(path);
    if (key === undefined) throw new Error(path);
    try {
      this.#entries.set(path, loadEntry({ key, label: `${path} (revision ${revision})`, bytes: Buffer.from(text) }));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#entries.set(path, { key, faults: error.faults });
    }
  }

  read() {
    return this.#topology.read([...this.#entries.values()]);
  }

  layer(
    registered: Readonly<Record<string, string>>,
    drains: readonly { namespace: string; service: string; endpoint: string }[] = [],
  ) {
    const endpoints = Object.entries(registered).map(([id, text]) => {
      const key = { kind: "endpoint", namespace: "default", service: "web", id } as const;
      return readRegisteredEndpoint(loadEntry({ key, label: id, bytes: Buffer.from(text) })).endpoint;
    });
    return layerEndpoints(this.read(), { endpoints, drains });
  }
}
