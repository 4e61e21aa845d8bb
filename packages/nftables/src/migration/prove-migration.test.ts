import { readFileSync } from "node:fs";
import { type HostState, hostStateOf, readRules } from "@svcproxy/rules";
import { parseCidr, parseTopology, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import type { KubeProxyFacts } from "../kube-proxy/kube-proxy-facts.ts";
import { recordedCase, recordedCases } from "../testing/recorded-kube-proxy.ts";
import { DIFFERENCE_KINDS, type DifferenceKind } from "./difference-kinds.ts";
import type { HostFacts } from "./host-requirements.ts";
import type { Migration } from "./migration.ts";
import { proveMigration } from "./prove-migration.ts";

const NOTHING_KNOWN: HostFacts = { accounting: new Map(), ipvsServices: [], isSeen: false };

interface Change {
  /** What becomes of the text of iptables-save. */
  readonly rules?: (text: string) => string;
  readonly facts?: Partial<HostFacts>;
  readonly kubeProxy?: KubeProxyFacts;
  /** Blocks of \`nodePortAddresses\` that the configuration has in both modes. */
  readonly nodePortAddresses?: readonly string[];
  readonly hostState?: (state: HostState) => HostState;
}

function migrationOf(
  name: string,
  {
    rules: change = (text) => text,
    facts,
    kubeProxy = {},
    nodePortAddresses,
    hostState = (state) => state,
  }: Change = {},
): Migration {
  const recorded = recordedCase(name);
  const { saved } = recorded;
  const blocks = nodePortAddresses?.flatMap((text) => parseCidr(text) ?? []);
  const plan =
    blocks === undefined
      ? recorded.plan
      : planHost(
          { ...recorded.topology, node: { ...recorded.plan.node, nodePortAddresses: blocks } },
          { host: "node1" },
        );
  const { topology } = recordedCase(name, "iptables");
  const given = readRules([{ file: saved, text: change(readFileSync(saved, "utf8")) }]);
  return proveMigration({
    families: ([4, 6] as const).filter((family) => plan.ports.some((port) => port.family === family)),
    rules: (family) => given.rules(family),
    plan,
    hostState: hostState({ ...hostStateOf(topology, { host: "node1" }), recentLists: {} }),
    facts: { ...NOTHING_KNOWN, ...facts },
    kubeProxy,
  });
}

function kindsOf({ differences }: Migration): readonly string[] {
  return [...new Set(differences.map(({ kind }) => kind))];
}

const ALWAYS: readonly DifferenceKind[] = ["wrong-port", "unassigned-address", "invalid-packets"];
const NODE_PORTS: readonly DifferenceKind[] = ["localhost-node-port", "node-port-address"];

/** What each set of objects meets beside that. */
const EXPECTED: Readonly<Record<string, readonly DifferenceKind[]>> = {
  affinity: [...NODE_PORTS, "remote-pod"],
  "affinity-local": [...NODE_PORTS, "remote-pod"],
  "bridge-interface": NODE_PORTS,
  "dual-stack": [...NODE_PORTS, "remote-pod"],
  "external-ip": ["remote-pod"],
  headless: ["remote-pod"],
  "hints-node": [...NODE_PORTS, "remote-pod"],
  "hints-zone": ["remote-pod"],
  "host-network": NODE_PORTS,
  "internal-local": ["marked-packets", "related-packets", "remote-pod"],
  "ip-mode": [...NODE_PORTS, "remote-pod"],
  "ipv6-only": ["node-port-address", "remote-pod", "marked-packets", "related-packets"],
  large: ["remote-pod"],
  "load-balancers-local": [...NODE_PORTS, "remote-pod", "unserved-node-port", "marked-packets"],
  "masquerade-all": NODE_PORTS,
  "named-ports": [...NODE_PORTS, "remote-pod"],
  "no-endpoints": ["host-to-unserved", "unserved-node-port", "marked-packets", "related-packets"],
  "node-cidr": NODE_PORTS,
  "node-port-addresses": ["unserved-node-port", "marked-packets", "related-packets", "remote-pod"],
  nodeport: [...NODE_PORTS, "remote-pod", "unserved-node-port"],
  plain: ["remote-pod"],
  protocols: [...NODE_PORTS, "remote-pod"],
  "source-ranges": [
    ...NODE_PORTS,
    ...(["remote-pod", "guarded-unserved", "host-to-unserved", "marked-packets", "related-packets"] as const),
  ],
  terminating: [...NODE_PORTS, "remote-pod", "marked-packets", "related-packets"],
};

describe("what a real kube-proxy wrote in iptables mode, against what it writes in nftables mode", () => {
  test.for(recordedCases())("%s", (name) => {
    const migration = migrationOf(name);
    expect(kindsOf(migration).toSorted()).toEqual([...ALWAYS, ...(EXPECTED[name] ?? [])].toSorted());
    expect(migration.undecided).toEqual([]);
    const stops = migration.differences.some(({ kind }) => DIFFERENCE_KINDS[kind].effect !== "harmless");
    expect(migration.verdict).toBe(stops ? "not ready" : "undecided");
  });
});

test("a difference is told once, with a packet that shows it, its services and its end before and after", () => {
  const [localhost, address] = migrationOf("nodeport").differences;
  expect(localhost).toMatchObject({
    kind: "localhost-node-port",
    packet: { from: "127.0.0.1", to: "127.0.0.1", protocol: "tcp" },
    before: expect.stringMatching(/^reaches 10\.244\.1\.5:8080 as 10\.244\.1\.1 by cni0 \(50\.0 %\), or reaches /),
    after: "is left to a program of this host",
    services: ["default/np", "default/npl", "default/npx"],
  });
  expect(address).toMatchObject({ kind: "node-port-address", packet: { to: "10.244.1.1" } });
});

describe("what hangs on which kube-proxy will run", () => {
  const kindOf = (migration: Migration, wanted: DifferenceKind) =>
    migration.differences.find(({ kind }) => kind === wanted);

  test.for([
    ["1.33.5", true],
    ["1.33.6", false],
    ["1.34.0", false],
    ["1.32.9", true],
  ] as const)(
    "the node's own connections to load-balancer IPs of policy Local: %s drops them: %s",
    ([version, drops]) => {
      const found = kindOf(migrationOf("load-balancers-local", { kubeProxy: { version } }), "own-to-local");
      expect(found !== undefined).toBe(drops);
      if (drops)
        expect(found).toMatchObject({
          services: ["default/away"],
          before: expect.stringMatching(/^reaches/),
          after: "is dropped",
        });
    },
  );

  const gates = new Map([["KubeProxyNFTablesLocalhostNodePorts", true]]);

  test("NodePorts on loopback are refused with its gate, and TCP is served by kube-proxy where loopback is named", () => {
    const refused = migrationOf("protocols", { kubeProxy: { gates } });
    expect(kindOf(refused, "localhost-node-port")).toMatchObject({ after: "is refused" });
    expect(kindOf(refused, "proxied-node-port")).toBe(undefined);
    const named = ["127.0.0.0/8", "192.168.77.0/24"];
    const proxied = migrationOf("protocols", { kubeProxy: { gates }, nodePortAddresses: named });
    expect(kindOf(proxied, "proxied-node-port")).toMatchObject({
      packet: { protocol: "tcp", to: expect.stringMatching(/^127\./) },
      after: "is left to a program of this host",
    });
    expect(kindOf(proxied, "localhost-node-port")).toMatchObject({
      packet: { protocol: expect.not.stringMatching("tcp") },
      after: "is refused",
    });
    // The gate is not there before 1.37.
    const older = migrationOf("protocols", { kubeProxy: { gates, version: "1.36.1" }, nodePortAddresses: named });
    expect(kindOf(older, "proxied-node-port")).toBe(undefined);
  });
});

describe("what was counted says whether somebody uses it", () => {
  const counted = (packets: number) => (text: string) =>
    text
      .replaceAll(/^(-A KUBE-NODEPORTS -d 127.*)$/gm, `[${packets}:${packets * 60}] $1`)
      .replaceAll(/^(-A KUBE-(?:EXT|NODEPORTS|SVC).*)$/gm, "[7:420] $1");

  test("by the rule that counted least on the way", () => {
    const [localhost] = migrationOf("nodeport", { rules: counted(2) }).differences;
    expect(localhost?.traffic).toMatchObject({ kind: "counted", packets: 6 });
  });

  test("by the accounting object, which outlives the rule", () => {
    const facts = { accounting: new Map([["localhost_nps_accepted_pkts", 0]]) };
    const [localhost] = migrationOf("nodeport", { rules: counted(2), facts }).differences;
    expect(localhost?.traffic).toEqual({
      kind: "counted",
      packets: 0,
      by: [{ source: { accounting: "localhost_nps_accepted_pkts" }, packets: 0 }],
    });
  });

  test("a host is ready where what stops was never used", () => {
    const unused = (text: string) => text.replaceAll(/^(-A KUBE-.*)$/gm, "[0:0] $1");
    const facts = { kernel: "6.1.0", nft: "nftables v1.0.6", isSeen: true };
    expect(migrationOf("nodeport", { rules: unused, facts }).verdict).toBe("ready");
    expect(migrationOf("nodeport", { facts }).verdict).toBe("not ready");
    // What nobody looked at is not taken for met.
    expect(migrationOf("nodeport", { rules: unused }).verdict).toBe("undecided");
  });
});

describe("holes that kube-proxy's iptables rules made in a firewall", () => {
  test("of forwarded traffic", () => {
    const migration = migrationOf("nodeport", {
      rules: (text) => text.replaceAll(/(\*filter\n:INPUT ACCEPT .*\n:FORWARD) ACCEPT/g, "$1 DROP"),
    });
    const hole = migration.differences.find(({ kind }) => kind === "firewall-hole");
    expect(hole).toMatchObject({ after: "is dropped", before: expect.stringMatching(/^reaches/) });
    expect(migration.verdict).toBe("not ready");
  });

  test("of health-check node ports", () => {
    const migration = migrationOf("load-balancers-local", {
      rules: (text) => text.replaceAll("*filter\n:INPUT ACCEPT", "*filter\n:INPUT DROP"),
    });
    const port = migration.differences.find(({ kind }) => kind === "health-check-port");
    expect(port).toMatchObject({ services: ["default/away", "default/both"], after: "is dropped" });
    expect([32101, 32102]).toContain(port?.packet.port);
  });
});

test("rules that are older than the objects are told from what the mode does otherwise", () => {
  const stale = migrationOf("plain", {
    rules: (text) => text.replaceAll("--to-destination 10.244.1.5:8080", "--to-destination 10.244.1.9:8080"),
  });
  expect(stale.differences.find(({ kind }) => kind === "endpoints")).toMatchObject({
    before: expect.stringContaining("10.244.1.9:8080"),
    after: expect.stringContaining("10.244.1.5:8080"),
  });
  expect(stale.verdict).toBe("not ready");
});

test("a change that only the new configuration makes is found: what was masqueraded for all no longer is", () => {
  const { plan } = recordedCase("plain");
  const { saved } = recordedCase("masquerade-all");
  expect(plan.node.masqueradeAll).toBe(false);
  const given = readRules([{ file: saved, text: readFileSync(saved, "utf8") }]);
  const { topology } = recordedCase("masquerade-all", "iptables");
  const own = planHost({ ...topology, node: { ...plan.node, masqueradeBit: 15 } }, { host: "node1" });
  const { differences } = proveMigration({
    ...{ families: [4], plan: own, hostState: hostStateOf(topology, { host: "node1" }), facts: NOTHING_KNOWN },
    rules: (family) => given.rules(family),
  });
  expect(differences.find(({ kind }) => kind === "client-address")).toMatchObject({ services: ["default/web"] });
});

describe("the host must have", () => {
  const statusOf = (change: Change, name = "plain") =>
    Object.fromEntries(
      migrationOf(name, change).requirements.map((requirement) => [requirement.name, requirement.status]),
    );

  test.for([
    { kernel: "5.10.0-28-amd64", expected: "missing" },
    { kernel: "5.13.0", expected: "met" },
    { kernel: "6.1.0-13-amd64", expected: "met" },
    { kernel: undefined, expected: "unknown" },
  ])("kernel 5.13: $kernel is $expected", ({ kernel, expected }) => {
    expect(statusOf({ facts: kernel === undefined ? {} : { kernel } })).toMatchObject({ kernel: expected });
  });

  test.for([
    { nft: "nftables v0.9.8 (E.D.S.)", isSeen: true, expected: "missing" },
    { nft: "nftables v1.0.1 (Fearless Fosdick #3)", isSeen: true, expected: "met" },
    { nft: undefined, isSeen: true, expected: "met" },
    { nft: undefined, isSeen: false, expected: "unknown" },
  ])("nft 1.0.1, or none: $nft is $expected", ({ nft, isSeen, expected }) => {
    expect(statusOf({ facts: { isSeen, ...(nft === undefined ? {} : { nft }) } })).toMatchObject({ nft: expected });
  });

  test.for([
    { kernel: "6.1.0", dropped: 5, liberal: "0", expected: "met" },
    { kernel: "5.15.0", dropped: 5, liberal: "0", expected: "missing" },
    { kernel: "5.15.0", dropped: 0, liberal: "0", expected: "met" },
    { kernel: "5.15.0", dropped: 5, liberal: "1", expected: "met" },
    { kernel: "5.15.0", dropped: undefined, liberal: "0", expected: "unknown" },
  ])(
    "liberal conntrack where a kernel before 6.1 drops INVALID packets: $kernel, $dropped, $liberal",
    ({ kernel, dropped, liberal, expected }) => {
      const accounting = new Map(dropped === undefined ? [] : [["ct_state_invalid_dropped_pkts", dropped]]);
      const hostState = (state: HostState) => ({
        ...state,
        sysctls: { ...state.sysctls, "net.netfilter.nf_conntrack_tcp_be_liberal": liberal },
      });
      expect(statusOf({ facts: { kernel, accounting }, hostState })).toMatchObject({ "conntrack-liberal": expected });
    },
  );

  test("nothing of IPVS mode: its device, its sets, its services", () => {
    const device = { name: "kube-ipvs0", isLoopback: false, addresses: [] };
    const withDevice = (state: HostState) => ({ ...state, interfaces: [...state.interfaces, device] });
    const withSets = (state: HostState) => ({
      ...state,
      ipSets: { "KUBE-CLUSTER-IP": { name: "KUBE-CLUSTER-IP", type: "hash:ip,port", members: [] } },
    });
    const isSeen = { isSeen: true };
    expect(statusOf({ facts: isSeen })).toMatchObject({ "ipvs-left-overs": "met" });
    expect(statusOf({ facts: isSeen, hostState: withDevice })).toMatchObject({ "ipvs-left-overs": "missing" });
    expect(statusOf({ facts: isSeen, hostState: withSets })).toMatchObject({ "ipvs-left-overs": "missing" });
    const facts = { ...isSeen, ipvsServices: ["TCP  0A600001:0050 rr"] };
    expect(statusOf({ facts })).toMatchObject({ "ipvs-left-overs": "missing" });
  });

  test("no rules of kube-proxy in the other variant of iptables, which stay and win", () => {
    const twice = (text: string) => `${text}${text.replaceAll(" (nf_tables)", " (legacy)")}`;
    const migration = migrationOf("nodeport", { rules: twice });
    expect(migration.requirements.find(({ name }) => name === "other-variant")?.text).toContain("iptables-legacy");
    expect(kindsOf(migration)).not.toContain("node-port-address");
  });

  test("no rule of another program that leads into kube-proxy's chains", () => {
    const foreign = (text: string) =>
      text
        .replace("*nat\n", "*nat\n:CNI-X - [0:0]\n")
        .replace("-A PREROUTING -m comment", "-A CNI-X -s 10.9.0.0/16 -j KUBE-MARK-MASQ\n-A PREROUTING -m comment");
    const found = migrationOf("plain", { rules: foreign }).requirements.find(({ name }) => name === "foreign-jumps");
    expect(found?.text).toContain("rule 1 of nat CNI-X (to KUBE-MARK-MASQ)");
  });

  test("a kube-proxy of which the version is known where the node dials load-balancer IPs of policy Local", () => {
    const found = (change: Change) =>
      migrationOf("load-balancers-local", change).requirements.find(({ name }) => name === "own-load-balancers");
    expect(found({})).toMatchObject({ status: "unknown", text: expect.stringContaining("(default/away)") });
    expect(found({ kubeProxy: { version: "1.37.2" } })).toBe(undefined);
    expect(statusOf({}, "plain")).not.toHaveProperty("own-load-balancers");
  });

  test.for([
    ["1.28.15", "missing"],
    ["1.30.2", "missing"],
    ["1.31.0", "met"],
    ["1.37.2+k3s1", "met"],
  ] as const)("a kube-proxy that has the mode: %s is %s", ([version, status]) => {
    expect(statusOf({ kubeProxy: { version } })).toMatchObject({ "kube-proxy-version": status });
    const gates = new Map([["NFTablesProxyMode", true]]);
    if (version === "1.30.2")
      expect(statusOf({ kubeProxy: { version, gates } })).toMatchObject({ "kube-proxy-version": "met" });
  });

  test("clients that come back to be told from what is remembered today", () => {
    const found = migrationOf("affinity").requirements.find(({ name }) => name === "affinity");
    expect(found?.text).toMatch(/will remember 65,535 clients an endpoint, where `recent` keeps 100/);
    expect(statusOf({}, "plain")).not.toHaveProperty("affinity");
  });

  test("service ranges to be known", () => {
    const text = `
hosts: [{ name: node1, address: 192.168.77.1, podCIDR: 10.244.1.0/24, pods: [{ name: a, address: "10.244.1.5:80" }] }]
services: [{ name: web, clusterIP: 10.96.0.10, ports: [{ port: 80 }], endpoints: [a] }]`;
    const { topology } = parseTopology(Buffer.from(text), { file: "t" });
    const { requirements } = proveMigration({
      ...{ families: [4], plan: planHost(topology, { host: "node1" }), facts: NOTHING_KNOWN },
      hostState: hostStateOf(topology, { host: "node1" }),
      rules: (family) => ({ family, iptables: [], nft: { tables: [] }, unread: [] }),
    });
    expect(requirements.find(({ name }) => name === "service-range")).toMatchObject({ status: "unknown" });
  });
});
