import { describe, expect, test } from "vitest";
import type { FaultCode } from "../fault-code.ts";
import { cidr, faultsOf, input, NODES, PORT, read, service, slice } from "../testing/kubernetes-texts.ts";
import { parseKubernetes } from "./parse-kubernetes.ts";

/** A line with `‸` before what is wrong. */
const FAULTS: readonly { name: string; spec: string; code: FaultCode; path: string }[] = [
  {
    name: "a port out of range",
    spec: "ports: [{ port: ‸70000 }]",
    code: "PORT_OUT_OF_RANGE",
    path: "spec.ports[0].port",
  },
  { name: "no port", spec: "ports: [‸{ name: a }]", code: "MISSING_KEY", path: "spec.ports[0]" },
  {
    name: "an unknown protocol",
    spec: "ports: [{ port: 80, protocol: ‸tcp }]",
    code: "UNKNOWN_PROTOCOL",
    path: "spec.ports[0].protocol",
  },
  { name: "an unknown type", spec: `type: ‸Balancer\n${PORT}`, code: "UNKNOWN_VALUE", path: "spec.type" },
  {
    name: "an unknown policy",
    spec: `internalTrafficPolicy: ‸Near\n${PORT}`,
    code: "UNKNOWN_VALUE",
    path: "spec.internalTrafficPolicy",
  },
  { name: "a port as text", spec: "ports: [{ port: ‸http }]", code: "WRONG_TYPE", path: "spec.ports[0].port" },
  { name: "ports that are not a list", spec: "ports: ‸80", code: "WRONG_TYPE", path: "spec.ports" },
  {
    name: "an address that is not one",
    spec: `clusterIPs: [‸10.96.0]\n${PORT}`,
    code: "BAD_ADDRESS",
    path: "spec.clusterIPs[0]",
  },
  {
    name: "a first ClusterIP that is another than clusterIP",
    spec: `clusterIPs: [‸10.96.0.11]\n${PORT}`,
    code: "CONFLICTING_KEYS",
    path: "spec.clusterIPs[0]",
  },
  {
    name: "no ClusterIP in the one field and one in the other",
    spec: `clusterIPs: [‸None]\n${PORT}`,
    code: "CONFLICTING_KEYS",
    path: "spec.clusterIPs[0]",
  },
  { name: "no port", spec: "ports: ‸[]", code: "MISSING_KEY", path: "spec.ports" },
  {
    name: "a port twice",
    spec: "ports: [{ name: a, port: 80 }, ‸{ name: b, port: 80 }]",
    code: "DUPLICATE_NAME",
    path: "spec.ports[1]",
  },
  {
    name: "a targetPort that is a number in quotes",
    spec: 'ports: [{ port: 80, targetPort: ‸"8080" }]',
    code: "BAD_NAME",
    path: "spec.ports[0].targetPort",
  },
  {
    name: "a targetPort that no port has",
    spec: "ports: [{ port: 80, targetPort: ‸65536 }]",
    code: "PORT_OUT_OF_RANGE",
    path: "spec.ports[0].targetPort",
  },
  {
    name: "a targetPort whose name is too long",
    spec: "ports: [{ port: 80, targetPort: ‸sixteen-letters-x }]",
    code: "BAD_NAME",
    path: "spec.ports[0].targetPort",
  },
  {
    name: "two ClusterIPs of a family",
    spec: `clusterIPs: [10.96.0.10, ‸10.96.0.11]\n${PORT}`,
    code: "FAMILY_TWICE",
    path: "spec.clusterIPs[1]",
  },
  {
    name: "a loopback address as external IP",
    spec: `externalIPs: [‸127.0.0.1]\n${PORT}`,
    code: "BAD_ADDRESS",
    path: "spec.externalIPs[0]",
  },
  {
    name: "a source range that is not one, which would leave it open",
    spec: `type: LoadBalancer\nloadBalancerSourceRanges: [‸10.0.0.0/33]\n${PORT}`,
    code: "BAD_CIDR",
    path: "spec.loadBalancerSourceRanges[0]",
  },
  {
    name: "a source range that is empty, which would leave it open",
    spec: `type: LoadBalancer\nloadBalancerSourceRanges: [‸""]\n${PORT}`,
    code: "BAD_CIDR",
    path: "spec.loadBalancerSourceRanges[0]",
  },
  {
    name: "a source range that is null, which would leave it open",
    spec: `type: LoadBalancer\nloadBalancerSourceRanges: [10.0.0.0/8, ‸null]\n${PORT}`,
    code: "BAD_CIDR",
    path: "spec.loadBalancerSourceRanges[1]",
  },
  {
    name: "an external IP that is empty",
    spec: `externalIPs: [‸""]\n${PORT}`,
    code: "BAD_ADDRESS",
    path: "spec.externalIPs[0]",
  },
  {
    name: "affinity for two days",
    spec: `sessionAffinity: ClientIP\nsessionAffinityConfig: { clientIP: { timeoutSeconds: ‸172800 } }\n${PORT}`,
    code: "NUMBER_OUT_OF_RANGE",
    path: "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
  },
  {
    name: "a port without a name among several",
    spec: "ports: [{ name: a, port: 80 }, ‸{ port: 81 }]",
    code: "MISSING_KEY",
    path: "spec.ports[1]",
  },
  {
    name: "one name of two ports",
    spec: "ports: [{ name: a, port: 80 }, ‸{ name: a, port: 81 }]",
    code: "DUPLICATE_NAME",
    path: "spec.ports[1]",
  },
  {
    name: "a port name that is not a label",
    spec: "ports: [{ name: ‸A_B, port: 80 }]",
    code: "BAD_NAME",
    path: "spec.ports[0].name",
  },
  {
    name: "one NodePort of two ports",
    spec: "type: NodePort\nports: [{ name: a, port: 80, nodePort: 30000 }, { name: b, port: 81, nodePort: ‸30000 }]",
    code: "DUPLICATE_NODE_PORT",
    path: "spec.ports[1].nodePort",
  },
];

describe("a fault in a Service", () => {
  test.for(FAULTS)("$name: $code at $path", ({ spec, code, path }) => {
    const text = service(spec);
    const offset = text.indexOf("‸");
    const lines = text.slice(0, offset).split("\n");
    const faults = faultsOf(text.replace("‸", ""));
    expect(faults.map((fault) => `${fault.severity} ${fault.code} ${fault.at?.line}:${fault.at?.column}`)).toEqual([
      `error ${code} ${lines.length}:${(lines.at(-1) ?? "").length + 1}`,
    ]);
    expect(faults[0]?.message).toContain(`Service "prod/web": ${path}: `);
  });

  test.for([
    ["leading zeros", `clusterIPs: [10.96.000.010]\n${PORT}`, "SLOPPY_ADDRESS"],
    ["IPv4 in IPv6 form", `clusterIPs: ["::ffff:10.96.0.10"]\n${PORT}`, "SLOPPY_ADDRESS"],
    ["an unusual NodePort", "type: NodePort\nports: [{ port: 80, nodePort: 8080 }]", "UNUSUAL_NODE_PORT"],
    ["a NodePort of a Service that has none", "ports: [{ port: 80, nodePort: 8080 }]", "NO_EFFECT"],
    ["source ranges without a load balancer", `loadBalancerSourceRanges: [10.0.0.0/8]\n${PORT}`, "NO_EFFECT"],
  ])("%s is taken with a warning", ([, spec = "", code]) => {
    const { topology, warnings } = read(service(spec));
    expect(warnings.map((warning) => warning.code)).toEqual([code]);
    expect(topology.services[0]?.clusterIPs).toEqual(["10.96.0.10"]);
  });

  test("null and fields that nobody asks for are none", () => {
    const spec = `externalIPs: null\nsessionAffinity: null\nipFamilies: 7\nnodePort: [x]\n${PORT}`;
    expect(faultsOf(service(spec))).toEqual([]);
  });

  test("is a name that could be anything but a name", () => {
    const name = JSON.stringify('x"\n-A INPUT -j ACCEPT');
    const text = `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { clusterIP: 10.96.0.1, ports: [{ port: 80 }] }`;
    expect(faultsOf(text).map(({ code, at }) => `${code} ${at?.line}`)).toEqual(["BAD_NAME 3"]);
  });

  test.for(["name: web.a", "name: web, namespace: a.b", `name: ${"a".repeat(64)}`])(
    "is %s, which is not a label",
    (named) => {
      const text = `apiVersion: v1\nkind: Service\nmetadata: { ${named} }\nspec: { clusterIP: 10.96.0.1, ports: [{ port: 80 }] }`;
      expect(faultsOf(text).map(({ code, at }) => `${code} ${at?.line}`)).toEqual(["BAD_NAME 3"]);
    },
  );

  test("is a ClusterIP that two have", () => {
    const other = service(PORT).replace("name: web,", "name: other,");
    expect(faultsOf(service(PORT) + other).map(({ code }) => code)).toEqual(["DUPLICATE_FRONTEND"]);
  });

  test("is a ClusterIP that is a Node's address; other VIPs there, and any on a pod's, are warned of", () => {
    const text = service(
      `type: LoadBalancer\nexternalIPs: [10.1.0.5]\n${PORT}`,
      "status: { loadBalancer: { ingress: [{ ip: 192.168.0.2 }] } }",
    );
    const pod = "{ apiVersion: v1, kind: Pod, metadata: { name: p }, status: { podIP: 10.1.0.5 } }";
    const found = (given: string) =>
      parseKubernetes(input(`${NODES}${given}${pod}`), { allowExternalIPs: [cidr("10.0.0.0/8")] }).warnings;
    expect(found(text).map(({ code, message }) => `${code} ${message}`)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(
          /^VIP_IS_POD_ADDRESS .*spec\.externalIPs\[0\]: 10\.1\.0\.5 is the address of pod default\/p/,
        ),
        expect.stringMatching(/^VIP_IS_HOST_ADDRESS .*ingress\[0\]\.ip: 192\.168\.0\.2 is the address of node node2;/),
      ]),
    );
    const faults = faultsOf(NODES + text.replace("10.96.0.10", "192.168.0.1"));
    expect(faults.map(({ code, severity, message }) => `${severity} ${code} ${message}`)).toContainEqual(
      expect.stringMatching(/^error VIP_IS_HOST_ADDRESS .*spec\.clusterIP: 192\.168\.0\.1/),
    );
  });

  test("is not the same object twice: the last one counts, and one warning names both places", () => {
    const second = service(PORT).replace("10.96.0.10", "10.96.0.20");
    const { topology, warnings } = read(service(PORT) + second);
    expect(topology.services.map(({ clusterIPs }) => clusterIPs)).toEqual([["10.96.0.20"]]);
    expect(warnings.map(({ code, at, hint }) => [code, at?.line, hint])).toEqual([
      ["DUPLICATE_NAME", 11, "The first is at f0.yaml:2:1"],
    ]);
    expect(faultsOf(NODES + NODES).map(({ code, severity }) => `${severity} ${code}`)).toEqual([
      "warning DUPLICATE_NAME",
      "warning DUPLICATE_NAME",
    ]);
  });

  test("is a Service among objects that does not say of which API", () => {
    const faults = faultsOf(`${service(PORT)}\nkind: Service\nmetadata: { name: other }`);
    expect(faults.map(({ code, hint }) => `${code} ${hint}`)).toEqual(["MISSING_KEY Give it one: apiVersion: v1"]);
  });

  test("of an object without a name is that alone, once for each", () => {
    const nameless = (metadata: string) =>
      `apiVersion: v1\nkind: Service\nmetadata: ${metadata}\nspec: { clusterIP: None }\n---\n`;
    expect(faultsOf(nameless("{}") + nameless("{}")).map(({ code }) => code)).toEqual(["MISSING_KEY", "MISSING_KEY"]);
    expect(faultsOf(nameless("hello")).map(({ code, message }) => `${code} ${message}`)).toEqual([
      expect.stringContaining('MISSING_KEY Cannot read Service "default/": metadata.name'),
      'WRONG_TYPE Cannot read Service "default/": metadata: must be a mapping, not "hello"',
    ]);
  });

  test("is port 0, which is shown where it stands", () => {
    const [fault] = faultsOf(service("ports: [{ port: 0 }]"));
    expect([fault?.code, fault?.message]).toEqual([
      "PORT_OUT_OF_RANGE",
      'Cannot read Service "prod/web": spec.ports[0].port: 0 is not in 1–65535',
    ]);
  });

  test("in an address or a block has a hint", () => {
    const hints = (spec: string) => faultsOf(service(spec)).map(({ hint }) => hint);
    expect(hints(`externalIPs: [10.96.0.1.80]\n${PORT}`)).toEqual([
      expect.stringContaining("Was a colon meant, 10.96.0.1:80?"),
    ]);
    expect(hints(`type: LoadBalancer\nloadBalancerSourceRanges: ["10.0.0.1"]\n${PORT}`)).toEqual([
      "Give its length too: 10.0.0.1/32",
    ]);
  });

  test("is a ClusterIP or endpoint that kube-proxy takes and nothing can reach: a warning", () => {
    const texts = [
      service(PORT).replace("10.96.0.10", "127.0.0.5"),
      service(PORT).replace("10.96.0.10", "224.1.2.3"),
      service(`type: LoadBalancer\n${PORT}`, "status: { loadBalancer: { ingress: [{ ip: 0.0.0.0 }] } }"),
      service(PORT) + slice("- { addresses: [239.1.2.3] }"),
    ];
    for (const text of texts) {
      expect(faultsOf(text)).toEqual([expect.objectContaining({ code: "SPECIAL_ADDRESS", severity: "warning" })]);
    }
  });

  test("is an endpoint that would open the node itself", () => {
    for (const address of ["127.0.0.1", "169.254.169.254", "0.0.0.0"]) {
      const faults = faultsOf(service(PORT) + slice(`- { addresses: [${address}] }`));
      expect(faults.map(({ code, message }) => [code, message.includes("endpoints[0].addresses[0]")])).toEqual([
        ["BAD_ADDRESS", true],
      ]);
    }
  });
});
