import { describe, expect, test } from "vitest";
import { formatCidr } from "../address.ts";
import { InputError } from "../errors.ts";
import { parseProxyConfiguration } from "./parse-proxy-configuration.ts";
import { changedProgramFields } from "./program-settings.ts";

const HEADER = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

function parse(text: string, header = HEADER) {
  return parseProxyConfiguration({ file: "config.yaml", bytes: new TextEncoder().encode(header + text) });
}

function read(text: string, header = HEADER) {
  const { settings, warnings } = parse(text, header);
  const { clusterCIDRs, nodePortAddresses, ...rest } = settings;
  return {
    settings: {
      ...rest,
      ...(clusterCIDRs === undefined ? {} : { clusterCIDRs: clusterCIDRs.map(formatCidr) }),
      ...(nodePortAddresses === undefined ? {} : { nodePortAddresses: nodePortAddresses.map(formatCidr) }),
    },
    warnings: warnings.map(({ message }) => message),
  };
}

function codesOf(text: string, header?: string): readonly string[] {
  try {
    read(text, header);
    return [];
  } catch (error) {
    if (error instanceof InputError) return error.faults.map(({ code, at }) => `${code} ${at?.line}:${at?.column}`);
    throw error;
  }
}

test.for([
  ["nothing", "", {}],
  ["clusterCIDR", "clusterCIDR: 10.0.0.0/8", { clusterCIDRs: ["10.0.0.0/8"] }],
  ["clusterCIDR of both families", "clusterCIDR: 10.0.0.0/8,fd00::/48", { clusterCIDRs: ["10.0.0.0/8", "fd00::/48"] }],
  ["NodeCIDR", "detectLocalMode: NodeCIDR", { detectLocal: { mode: "NodeCIDR" } }],
  [
    "ClusterCIDR",
    "detectLocalMode: ClusterCIDR\nclusterCIDR: 10.0.0.0/8",
    { detectLocal: { mode: "ClusterCIDR" }, clusterCIDRs: ["10.0.0.0/8"] },
  ],
  [
    "BridgeInterface",
    "detectLocalMode: BridgeInterface\ndetectLocal: { bridgeInterface: cni0, interfaceNamePrefix: '' }",
    { detectLocal: { mode: "BridgeInterface", bridgeInterface: "cni0" } },
  ],
  [
    "InterfaceNamePrefix",
    "detectLocalMode: InterfaceNamePrefix\ndetectLocal: { interfaceNamePrefix: veth }",
    { detectLocal: { mode: "InterfaceNamePrefix", interfaceNamePrefix: "veth" } },
  ],
  [
    "the iptables section",
    "iptables: { masqueradeAll: true, masqueradeBit: 15, localhostNodePorts: true }",
    { masqueradeAll: true, masqueradeBit: 15, localhostNodePorts: true },
  ],
  ["a null for what is left open", "iptables: { masqueradeAll: null, localhostNodePorts: null }", {}],
  [
    "nodePortAddresses",
    "nodePortAddresses: [10.0.0.0/8, 192.168.0.1]",
    { nodePortAddresses: ["10.0.0.0/8", "192.168.0.1/32"], nodePortsOnPrimaryAddress: false },
  ],
  ["primary", "nodePortAddresses: [primary]", { nodePortAddresses: [], nodePortsOnPrimaryAddress: true }],
  [
    "primary among blocks",
    "nodePortAddresses: [primary, 10.0.0.0/8, localhost]",
    { nodePortAddresses: ["10.0.0.0/8", "127.0.0.0/8", "::1/128"], nodePortsOnPrimaryAddress: true },
  ],
  [
    "the word for all addresses",
    "nodePortAddresses: [all]",
    { nodePortAddresses: ["0.0.0.0/0", "::/0"], nodePortsOnPrimaryAddress: false },
  ],
  ["nodePortAddresses that are empty", "nodePortAddresses: []\nclusterCIDR: ''\ndetectLocalMode: ''", {}],
] as const)("%s is read", ([, text, settings]) => {
  expect(read(text)).toEqual({ settings, warnings: [] });
});

test("an address to answer on that has no port has kube-proxy's", () => {
  const { program } = parse('healthzBindAddress: 0.0.0.0\nmetricsBindAddress: "::"\n');
  expect(program).toMatchObject({ healthzBindAddress: "0.0.0.0:10256", metricsBindAddress: "[::]:10249" });
  const given = parse('healthzBindAddress: "[::1]:0"\nmetricsBindAddress: 127.0.0.1:9000\n').program;
  expect(given).toMatchObject({ healthzBindAddress: "[::1]:0", metricsBindAddress: "127.0.0.1:9000" });
});

test("why it is refused is an error of it, not a warning that stands before", () => {
  expect(() => parse("enableProfiling: true\ndetectLocalMode: Nowhere\n")).toThrow(
    expect.objectContaining({ code: "UNKNOWN_VALUE", message: expect.stringContaining('"Nowhere" is not supported') }),
  );
});

test("fields that count at the start alone are named where they are otherwise", () => {
  const { program } = parse("clientConnection: { kubeconfig: a }\nconntrack: { min: 5 }\noomScoreAdj: -5\n");
  const other = parse("clientConnection: { kubeconfig: b }\nconntrack: { min: 6 }\nhealthzBindAddress: 127.0.0.1\n");
  expect(changedProgramFields(program, other.program)).toEqual([
    ...["clientConnection.kubeconfig", "healthzBindAddress", "conntrack", "oomScoreAdj"],
  ]);
  expect(changedProgramFields(program, program)).toEqual([]);
});

test("of what is about a cluster, who reads one uses how it is reached", () => {
  const text = `${HEADER}clientConnection: { kubeconfig: kube.conf, qps: 5 }\nhostnameOverride: a\n`;
  const file = { file: "config.yaml", bytes: Buffer.from(text) };
  const unused = (options: Parameters<typeof parseProxyConfiguration>[1]) =>
    parseProxyConfiguration(file, options).warnings.map(({ message }) => message.replace(/.*no effect here: /, ""));
  expect(unused({})).toEqual(["clientConnection, hostnameOverride"]);
  expect(unused({ readsCluster: true })).toEqual(["clientConnection.qps, hostnameOverride"]);
  expect(unused({ followsCluster: true })).toEqual(["clientConnection.qps"]);
});

test("what has no effect here is named once, and only where it is set", () => {
  const { warnings } = read(`
mode: iptables
bindAddress: 0.0.0.0
conntrack: { maxPerCore: null, min: 0 }
winkernel: { enableDSR: false, networkName: "" }
metricsBindAddress: ""
iptables: { masqueradeAll: false, syncPeriod: 30s }`);
  expect(warnings).toEqual(["The configuration: no effect here: bindAddress, iptables.syncPeriod"]);
});

test("a clusterCIDR with leading zeros is read as kube-proxy reads it, and that is said", () => {
  expect(read("clusterCIDR: 010.0.0.0/08")).toEqual({
    settings: { clusterCIDRs: ["10.0.0.0/8"] },
    warnings: ['The configuration: clusterCIDR: "010.0.0.0/08" is read as 10.0.0.0/8'],
  });
});

test("with mode nftables the nftables section counts", () => {
  const iptables = "iptables: { masqueradeBit: 3, localhostNodePorts: true }";
  const { settings, warnings } = read(`mode: nftables\nnftables: { masqueradeAll: true }\n${iptables}`);
  expect(settings).toEqual({ masqueradeAll: true });
  expect(warnings).toEqual(["The configuration: no effect here: iptables"]);
});

test("with mode ipvs the iptables section counts but for localhost, and that there is no such data path is said", () => {
  const { settings, warnings } = read(
    "mode: ipvs\niptables: { masqueradeBit: 3, localhostNodePorts: true }\nipvs: { strictARP: true }",
  );
  expect(settings).toEqual({ masqueradeBit: 3 });
  expect(warnings).toEqual([
    "The configuration: no effect here: iptables.localhostNodePorts, ipvs",
    expect.stringContaining("there is no IPVS data path here"),
  ]);
});

test.for([
  { followsCluster: false, hint: /svcproxy iptables, nftables or userspace/ },
  { followsCluster: true, hint: /--data-path/ },
])(
  "with mode ipvs the way to choose a data path is the command's own: follows a cluster $followsCluster",
  ({ followsCluster, hint }) => {
    const text = `apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n`;
    const { warnings } = parseProxyConfiguration({ file: "c.yaml", bytes: Buffer.from(text) }, { followsCluster });
    expect(warnings).toMatchObject([{ code: "NO_EFFECT", hint: expect.stringMatching(hint) }]);
  },
);

test("a key that kube-proxy does not have is named where it stands, with the one that may be meant", () => {
  const { warnings } = parse("clusterCidr: 10.0.0.0/8\niptables:\n  masqueradeall: true\n  other: 1\n");
  expect(warnings.map(({ code, at, hint }) => [code, at?.line, at?.column, hint])).toEqual([
    ["UNKNOWN_KEY", 3, 1, "Did you mean `clusterCIDR`?"],
    ["UNKNOWN_KEY", 5, 3, "Did you mean `masqueradeAll`?"],
    ["UNKNOWN_KEY", 6, 3, undefined],
  ]);
});

test.for([
  ["a bit that no mark has", "iptables: { masqueradeBit: 32 }", ["NUMBER_OUT_OF_RANGE 3:28"]],
  ["a block that is not one", "clusterCIDR: 10.0.0.0", ["BAD_CIDR 3:14"]],
  ["two blocks of a family", "clusterCIDR: 10.0.0.0/8,11.0.0.0/8", ["FAMILY_TWICE 3:14"]],
  ["a third block", "clusterCIDR: 10.0.0.0/8,fd00::/48,11.0.0.0/8", ["FAMILY_TWICE 3:14"]],
  ["an empty range, which would open all addresses", 'nodePortAddresses: [""]', ["BAD_CIDR 3:21"]],
  [
    "a bridge whose name no interface can have",
    'detectLocalMode: BridgeInterface\ndetectLocal: { bridgeInterface: "cni0\\n-A x" }',
    ["BAD_NAME 4:33"],
  ],
  [
    "a prefix with a + of its own",
    "detectLocalMode: InterfaceNamePrefix\ndetectLocal: { interfaceNamePrefix: cali+ }",
    ["BAD_NAME 4:37"],
  ],
  ["a mode without its setting", "detectLocalMode: BridgeInterface", ["MISSING_KEY 3:18"]],
  ["an unknown mode", "detectLocalMode: Magic", ["UNKNOWN_VALUE 3:18"]],
  ["a data path that kube-proxy does not have", "mode: ebpf", ["UNKNOWN_VALUE 3:7"]],
  [
    "an address to answer on that is none",
    "healthzBindAddress: localhost:10256",
    ["NO_EFFECT 1:1", "BAD_ADDRESS 3:21"],
  ],
  ["a port to answer on that is none", "metricsBindAddress: 127.0.0.1:99999", ["NO_EFFECT 1:1", "BAD_ADDRESS 3:21"]],
  ["an address range that is not one", "nodePortAddresses: [10.0.0.0/8, some]", ["BAD_CIDR 3:33"]],
] as const)("%s is a fault", ([, text, faults]) => {
  expect(codesOf(text)).toEqual(faults);
});

test.for([
  ["another kind", "kind: Secret\napiVersion: v1\n", ["UNKNOWN_VALUE 1:7"]],
  ["a ConfigMap of something else", "kind: ConfigMap\napiVersion: v1\n", ["UNKNOWN_VALUE 1:7"]],
  ["another version", "kind: KubeProxyConfiguration\napiVersion: v1\n", ["UNKNOWN_VALUE 2:13"]],
  ["a topology", "hosts: []\n", ["UNKNOWN_VALUE 1:1"]],
] as const)("%s is not taken for it", ([, header, faults]) => {
  expect(codesOf("", header)).toEqual(faults);
});

test("is found among other documents", () => {
  const { settings } = read(
    "clusterCIDR: 10.0.0.0/8",
    "kind: InitConfiguration\n---\napiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n",
  );
  expect(settings).toEqual({ clusterCIDRs: ["10.0.0.0/8"] });
});

describe("the ConfigMap that kubeadm makes is read as kubectl prints it", () => {
  const configMap = (value: string, rest = "") => `apiVersion: v1
data:
  config.conf: ${value}
  kubeconfig.conf: |-
    apiVersion: v1
    kind: Config
kind: ConfigMap
metadata:
  name: kube-proxy
${rest}`;
  const inner = `${HEADER}clusterCIDR: 10.0.0.0/8\nmode: ebpf`;
  const indented = (by: number) =>
    inner
      .split("\n")
      .map((line) => `${" ".repeat(by)}${line}`)
      .join("\n");

  test.for([
    ["as a block of lines", configMap(`|-\n${indented(4)}`), "config.yaml 7:11"],
    ["as a block that is indented further", configMap(`|2-\n\n${indented(4)}`), "config.yaml 8:11"],
    ["as one quoted text", configMap(JSON.stringify(inner)), "config.yaml (config.conf) 4:7"],
    [
      "as JSON",
      JSON.stringify({ kind: "ConfigMap", apiVersion: "v1", data: { "config.conf": inner } }),
      "config.yaml (config.conf) 4:7",
    ],
    [
      "in a list",
      JSON.stringify({ kind: "List", items: [{ kind: "ConfigMap", data: { "config.conf": inner } }] }),
      "config.yaml (config.conf) 4:7",
    ],
  ] as const)("%s, and a fault stands where it is", ([, text, place]) => {
    expect(read(text.replace("ebpf", "ipvs"), "").settings).toEqual({ clusterCIDRs: ["10.0.0.0/8"] });
    try {
      parse(text, "");
      expect.unreachable();
    } catch (error) {
      const [fault] = error instanceof InputError ? error.faults : [];
      expect(`${fault?.at?.file} ${fault?.at?.line}:${fault?.at?.column}`).toBe(place);
    }
  });

  test("a text inside that is not YAML is a fault of its place too", () => {
    const broken = configMap("|-\n    kind: KubeProxyConfiguration\n    clusterCIDR: [");
    try {
      parse(broken, "");
      expect.unreachable();
    } catch (error) {
      const [fault] = error instanceof InputError ? error.faults : [];
      expect([fault?.code, fault?.at?.file, fault?.at?.line]).toEqual(["SYNTAX", "config.yaml", 5]);
    }
  });
});
