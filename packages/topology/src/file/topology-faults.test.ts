import { describe, expect, test } from "vitest";
import type { FaultCode } from "../fault-code.ts";
import { faultsOf, marked, topologyText } from "../testing/topology-texts.ts";

/** A whole text, or what is put into `topologyText`; a service that begins with + has its ClusterIP and that line. */
type Given = string | Parameters<typeof topologyText>[0];

function textOf(given: Given): string {
  if (typeof given === "string") return given;
  const { service } = given;
  return topologyText(
    service?.startsWith("+") ? { ...given, service: `clusterIP: 10.100.0.1\n    ${service.slice(1)}` } : given,
  );
}

/** Name, text, code and hint. `‸` stands where the fault must be reported; the first one, where there are two of a kind. */
const FAULTS: readonly (readonly [name: string, given: Given, code: FaultCode, hint?: RegExp])[] = [
  ["bad syntax", "hosts:\n  - name: [a\n  ‸- b: c", "SYNTAX"],
  ["a quote left open", 'hosts: [{ name: "a }]\n‸', "SYNTAX", /quote or a bracket/],
  ["an alias of nothing", "hosts: ‸*nope", "SYNTAX", /quoted/],
  ["a list as a key", "hosts: []\n? ‸[a, b]\n: c", "WRONG_TYPE"],
  ["JSON that is nested too deep", `{ "hosts": ${"[".repeat(98)}‸${"[".repeat(9000)}${"]".repeat(9098)} }`, "SYNTAX"],
  ["JSON behind JSON", '{"hosts": []}\n‸{"hosts": []}', "SEVERAL_DOCUMENTS"],
  ["a tab as indentation", "hosts:\n‸\t- name: a", "SYNTAX", /spaces/],
  ["a key twice", { service: "+‸clusterIP: 10.100.0.2" }, "DUPLICATE_KEY", /line 12/],
  ["a key twice in JSON", '{"hosts": [],\n ‸"hosts": []}', "DUPLICATE_KEY"],
  ["two documents", "hosts: []\n---\n‸hosts: []", "SEVERAL_DOCUMENTS"],
  ["an unknown key", { service: "+‸sessionAffinty: ClientIP" }, "UNKNOWN_KEY", /`sessionAffinity`/],
  ["an unknown key that is like no other", { rest: "‸colour: blue" }, "UNKNOWN_KEY", /hosts, services, node/],
  ["a key of another case", { service: "‸clusterip: 10.100.0.1" }, "UNKNOWN_KEY", /`clusterIP`/],
  ["a comment of JSON as key", 'hosts: []\n‸"// the services": 1', "UNKNOWN_KEY", /begin with #/],
  ["a comment above JSON", '// hosts\n{ "hosts"‸: [] }', "SYNTAX", /begin with #/],
  [
    "a podCIDR of IPv4 in IPv6 form",
    { host: 'podCIDR: ‸"::ffff:10.5.0.0/120"' },
    "BAD_CIDR",
    /itself: 10\.5\.0\.0\/24$/,
  ],
  ["all of IPv4 in IPv6 form", { host: 'podCIDR: ‸"::ffff:0:0/96"' }, "BAD_CIDR"],
  ["a prototype's name as key", { rest: "‸constructor: 1" }, "UNKNOWN_KEY"],
  ["a list instead of a mapping", "‸- hosts", "WRONG_TYPE"],
  ["a text as port", { ports: '[{ port: ‸"80" }]' }, "WRONG_TYPE", /without quotes: 80/],
  ["a fraction as port", { ports: "[{ port: ‸80.5 }]" }, "WRONG_TYPE"],
  ["a number as id", { service: "+id: ‸1" }, "WRONG_TYPE", /"1"/],
  ["nothing under a key", { service: "+‸externalIPs:" }, "WRONG_TYPE", /leave the key out/],
  ["one text instead of a list", { endpoints: "‸p1" }, "WRONG_TYPE", /\[/],
  ["no hosts", "‸services: []", "MISSING_KEY"],
  ["a host without a name", "hosts:\n  - ‸address: 192.168.0.1", "MISSING_KEY"],
  ["a host without an address", "hosts:\n  - ‸name: h1", "MISSING_KEY"],
  [
    "a service without a ClusterIP",
    "hosts: []\nservices:\n  - ‸name: s\n    ports: [{ port: 80 }]",
    "MISSING_KEY",
    /None/,
  ],
  ["an empty name", 'hosts: [{ name: ‸"", address: 192.168.0.1 }]', "EMPTY_VALUE"],
  ["no port at all", { ports: "‸[]" }, "EMPTY_VALUE"],
  ["singular and plural", { service: "+clusterIPs: ‸[10.100.0.1]" }, "CONFLICTING_KEYS"],
  ["an unknown policy", { service: "+internalTrafficPolicy: ‸local" }, "UNKNOWN_VALUE", /Local/],
  ["an unknown protocol", { ports: "[{ port: 80, protocol: ‸tcp }]" }, "UNKNOWN_PROTOCOL", /TCP/],
  [
    "a ClusterIP as the document has it",
    { service: "clusterIP: ‸10.100.100.1.7070" },
    "BAD_ADDRESS",
    /colon meant, 10\.100\.100\.1:7070/,
  ],
  [
    "a pod's port after a dot",
    { pods: "      - { name: p3, address: ‸10.5.0.4.80 }" },
    "BAD_ADDRESS",
    /"10\.5\.0\.4:80"/,
  ],
  ["a full-width colon", { endpoints: '[‸"203.0.113.9：80"]' }, "UNKNOWN_ENDPOINT", /"203\.0\.113\.9:80"/],
  ["an address with a port", { service: 'clusterIP: ‸"10.100.0.1:80"' }, "BAD_ADDRESS", /alone: 10\.100\.0\.1$/],
  ["leading zeros", { service: "clusterIP: ‸10.100.000.01" }, "BAD_ADDRESS", /10\.100\.0\.1$/],
  ["a host name as address", { service: "clusterIP: ‸web.example.org" }, "BAD_ADDRESS", /not looked up/],
  ["an IPv6 pod without brackets", { pods: '      - { name: p3, address: ‸"fd00::2:::80" }' }, "BAD_ADDRESS"],
  ["IPv4 in IPv6 form", { service: 'clusterIP: ‸"::ffff:10.100.0.1"' }, "BAD_ADDRESS", /itself: 10\.100\.0\.1$/],
  ["a block as address", { service: "clusterIP: ‸10.100.0.0/24" }, "BAD_ADDRESS", /block/],
  ["a podCIDR without its length", { host: "podCIDR: ‸10.5.0.0" }, "BAD_CIDR", /10\.5\.0\.0\/32/],
  ["a podCIDR that is too long", { host: "podCIDR: ‸10.5.0.0/33" }, "BAD_CIDR"],
  ["port 70000", { ports: "[{ port: ‸70000 }]" }, "PORT_OUT_OF_RANGE", /65535/],
  ["port 0", { ports: "[{ port: 80, targetPort: ‸0 }]" }, "PORT_OUT_OF_RANGE"],
  ["a pod's port out of range", { pods: '      - { name: p3, address: ‸"10.5.0.4:70000" }' }, "PORT_OUT_OF_RANGE"],
  [
    "an affinity of two days",
    { service: "+sessionAffinity: ClientIP\n    sessionAffinityTimeoutSeconds: ‸172800" },
    "NUMBER_OUT_OF_RANGE",
  ],
  ["two hosts of one name", { hosts: "  - { name: ‸h1, address: 192.168.0.2 }" }, "DUPLICATE_NAME", /t\.yaml:2:11/],
  [
    "two pods of one name, on two hosts",
    { hosts: '  - { name: h2, address: 192.168.0.2, pods: [{ name: ‸p1, address: "10.6.0.2:80" }] }' },
    "DUPLICATE_NAME",
    /:6:17/,
  ],
  [
    "two services of one name",
    { rest: "  - { name: ‸s1, clusterIP: 10.100.0.2, ports: [{ port: 80 }] }" },
    "DUPLICATE_NAME",
  ],
  ["two ports of one name", { ports: "[{ name: a, port: 80 }, { name: ‸a, port: 81 }]" }, "DUPLICATE_NAME"],
  ["two hosts of one address", { hosts: "  - { name: h2, address: ‸192.168.0.1 }" }, "DUPLICATE_ADDRESS"],
  ["two pods of one address", { pods: '      - { name: p3, address: ‸"10.5.0.2:81" }' }, "DUPLICATE_ADDRESS"],
  [
    "a pod with the address of another host",
    {
      hosts: '  - { name: h2, address: 192.168.0.2, pods: [{ name: p3, address: ‸"192.168.0.1:80" }] }',
    },
    "DUPLICATE_ADDRESS",
  ],
  [
    "two pods on one port of their host's network",
    { pods: '      - { name: p3, address: "192.168.0.1:80" }\n      - { name: p4, address: ‸"192.168.0.1:80" }' },
    "DUPLICATE_ADDRESS",
  ],
  [
    "one frontend of two services",
    { rest: "  - { name: s2, clusterIP: 10.100.0.1, ports: [{ port: ‸80 }] }" },
    "DUPLICATE_FRONTEND",
    /t\.yaml:13:21/,
  ],
  [
    "one frontend as ClusterIP and external IP",
    {
      rest: "  - { name: s2, clusterIP: 10.100.0.2, externalIPs: [10.100.0.1], ports: [{ port: ‸80 }] }",
    },
    "DUPLICATE_FRONTEND",
  ],
  [
    "one NodePort of two ports",
    { ports: "[{ port: 80, nodePort: 30000 }, { port: 81, nodePort: ‸30000 }]" },
    "DUPLICATE_NODE_PORT",
  ],
  [
    "one id of two services",
    {
      service: "clusterIP: 10.100.0.1\n    id: a",
      rest: "  - { name: s2, id: ‸a, clusterIP: 10.100.0.2, ports: [{ port: 80 }] }",
    },
    "DUPLICATE_ID",
  ],
  ["an endpoint that no host lists", { endpoints: "[‸p11]" }, "UNKNOWN_ENDPOINT", /"p1"/],
  ["a pod without a port for a service without targetPort", { endpoints: "[p1, ‸p2]" }, "NO_TARGET_PORT", /targetPort/],
  ["an IPv6 endpoint of an IPv4 service", { endpoints: '[p1, ‸"[fd00::2]:80"]' }, "MIXED_FAMILIES"],
  ["an IPv6 external IP of an IPv4 service", { service: '+externalIPs: [‸"fd00::7"]' }, "MIXED_FAMILIES", /clusterIPs/],
  ["two ClusterIPs of one family", { service: "clusterIPs: [10.100.0.1, ‸10.100.0.2]" }, "FAMILY_TWICE"],
  ["two podCIDRs of one family", { host: "podCIDRs: [10.5.0.0/24, ‸10.6.0.0/24]" }, "FAMILY_TWICE"],
  ["a VIP that is a host's address", { service: "clusterIP: ‸192.168.0.1" }, "VIP_IS_HOST_ADDRESS"],
  ["a VIP that is a pod's address", { service: "clusterIP: ‸10.5.0.2" }, "VIP_IS_POD_ADDRESS"],
  ["a VIP in a podCIDR", { service: "clusterIP: ‸10.5.0.200" }, "VIP_IN_POD_CIDR"],
  [
    "overlapping podCIDRs",
    { hosts: "  - { name: h2, address: 192.168.0.2, podCIDR: ‸10.5.0.128/25 }" },
    "OVERLAPPING_POD_CIDRS",
    /:4:14/,
  ],
  ["a detector without its setting", { rest: "node: { detectLocalMode: ‸BridgeInterface }" }, "MISSING_KEY"],
  [
    "a bridge whose name is too long for an interface",
    { rest: "node: { detectLocalMode: BridgeInterface, detectLocal: { bridgeInterface: ‸a-bridge-of-17-xx } }" },
    "BAD_NAME",
    /15 bytes/,
  ],
  [
    "a prefix that no interface's name begins with",
    { rest: "node: { detectLocalMode: InterfaceNamePrefix, detectLocal: { interfaceNamePrefix: ‸cali/ } }" },
    "BAD_NAME",
  ],
  ["a masquerade bit that no mark has", { rest: "node: { masqueradeBit: ‸32 }" }, "NUMBER_OUT_OF_RANGE"],
  ["an affinity table without room", { rest: "node: { affinityTableSize: ‸0 }" }, "NUMBER_OUT_OF_RANGE"],
  ["a range of ClusterIPs that is not one", { rest: "node: { serviceCIDRs: [10.96.0.0/12, ‸10.96.0.1] }" }, "BAD_CIDR"],
  ...["192.168.0.0/16", "10.5.0.0/24", "10.5.0.2/32", "203.0.113.0/24"].map(
    (block) =>
      [
        `a range of ClusterIPs that holds something else (${block})`,
        { service: "+externalIPs: [203.0.113.1]", rest: `node: { serviceCIDRs: [10.100.0.0/16, ‸${block}] }` },
        "SERVICE_CIDR_TOO_WIDE",
      ] as const,
  ),
];

describe("a fault", () => {
  test.for(FAULTS)("%s, where it stands", ([, given, code, hint]) => {
    const { plain, places } = marked(textOf(given));
    const faults = faultsOf(plain);
    expect(faults.map((fault) => `${fault.code} ${fault.at?.line}:${fault.at?.column}`)).toEqual([
      `${code} ${places[0]}`,
    ]);
    expect(faults[0]?.severity).toBe("error");
    if (hint !== undefined) expect(faults[0]?.hint).toMatch(hint);
  });

  const SPECIAL: readonly { address: string; vip: Severity; endpoint: Severity }[] = [
    { address: "0.0.0.0", vip: "error", endpoint: "error" },
    { address: "::", vip: "error", endpoint: "error" },
    { address: "127.0.0.1", vip: "error", endpoint: "warning" },
    { address: "127.255.255.254", vip: "error", endpoint: "warning" },
    { address: "::1", vip: "error", endpoint: "warning" },
    { address: "224.0.0.251", vip: "error", endpoint: "error" },
    { address: "239.1.2.3", vip: "error", endpoint: "error" },
    { address: "ff02::1", vip: "error", endpoint: "error" },
    { address: "ff0e::7", vip: "error", endpoint: "error" },
    { address: "255.255.255.255", vip: "error", endpoint: "error" },
    { address: "fe80::7", vip: "warning", endpoint: "warning" },
    // As node-local DNS caches have it.
    { address: "169.254.20.10", vip: "warning", endpoint: "warning" },
    // Where clouds serve metadata.
    { address: "169.254.169.254", vip: "warning", endpoint: "warning" },
    { address: "fd00:ec2::254", vip: "warning", endpoint: undefined },
    ...["0.0.0.1", "1.2.3.4", "128.0.0.1", "169.253.0.1", "223.255.255.255", "240.0.0.1", "::2", "fd00::7"].map(
      (address) => ({ address, vip: undefined, endpoint: undefined }),
    ),
    ...["fe00::1", "fec0::1", "ff::1", "2001:db8::1"].map((address) => ({
      ...{ address, vip: undefined, endpoint: undefined },
    })),
  ];

  type Severity = "error" | "warning" | undefined;

  test.for(SPECIAL)("$address as VIP: $vip; as an endpoint's, a pod's, a host's: $endpoint", (special) => {
    const { address, vip, endpoint } = special;
    const other = address.includes(":") ? "fd00:1::1" : "10.100.0.1";
    const socket = address.includes(":") ? `[${address}]:80` : `${address}:80`;
    const text = (marks: { clusterIP?: string; externalIP?: string; host?: string; pod?: string; listed?: string }) => `
hosts:
  - name: h1
    address: ${marks.host ?? '"192.168.0.1"'}
    pods: [{ name: p1, address: ${marks.pod ?? '"192.0.2.1:80"'} }]
services:
  - name: s
    clusterIP: ${marks.clusterIP ?? `"${other}"`}
    externalIPs: [${marks.externalIP ?? ""}]
    ports: [{ port: 80 }]
    endpoints: [${marks.listed ?? ""}]
`;
    const cases = [
      { text: text({ clusterIP: `‸"${address}"` }), expected: vip },
      { text: text({ externalIP: `‸"${address}"` }), expected: vip },
      { text: text({ listed: `‸"${socket}"` }), expected: endpoint },
      { text: text({ pod: `‸"${socket}"` }), expected: endpoint },
      { text: text({ host: `‸"${address}"` }), expected: endpoint },
    ];
    for (const { text: marks, expected } of cases) {
      const { plain, places } = marked(marks);
      const found = faultsOf(plain).map(({ code, severity, at, hint }) => {
        return { code, severity, place: `${at?.line}:${at?.column}`, hint };
      });
      const fault = { code: "SPECIAL_ADDRESS", severity: expected, place: places[0], hint: expect.any(String) };
      expect(found).toEqual(expected === undefined ? [] : [fault]);
    }
  });

  test("a pod with a special address is named once, however many services list it", () => {
    const text = topologyText({ pods: '      - { name: p3, address: "127.0.0.1:80" }', endpoints: "[p3]" });
    const codes = faultsOf(text).map(({ code }) => code);
    expect(codes.filter((code) => code === "SPECIAL_ADDRESS")).toHaveLength(1);
  });

  const WARNINGS: readonly (readonly [name: string, given: Given, code: FaultCode])[] = [
    ["a pod outside its host's podCIDR", { pods: '      - { name: p3, address: ‸"10.6.0.4:80" }' }, "POD_OUTSIDE_CIDR"],
    ["an endpoint listed twice", { endpoints: "[p1, ‸p1]" }, "DUPLICATE_ENDPOINT"],
    ["an external IP that is a host's", { service: "+externalIPs: [‸192.168.0.1]" }, "VIP_IS_HOST_ADDRESS"],
    ["source ranges without load-balancer IPs", { service: "+loadBalancerSourceRanges: ‸[10.0.0.0/8]" }, "NO_EFFECT"],
    [
      "a load-balancer IP that no range guards",
      {
        service:
          'clusterIPs: [10.100.0.1, "fd00::1"]\n    loadBalancerIPs: ["fd00::7"]\n    loadBalancerSourceRanges: ‸[10.0.0.0/8]',
      },
      "OPEN_FAMILY",
    ],
    [
      "a policy for traffic from outside, where nothing leads in",
      { service: "+externalTrafficPolicy: ‸Local" },
      "NO_EFFECT",
    ],
    ["a timeout without affinity", { service: "+sessionAffinityTimeoutSeconds: ‸60" }, "NO_EFFECT"],
    ["a NodePort that the host's own programs may use", { ports: "[{ port: 80, nodePort: ‸22 }]" }, "LOW_NODE_PORT"],
    ["a health check that nobody asks", { service: "+healthCheckNodePort: ‸32000" }, "NO_EFFECT"],
  ];

  test.for(WARNINGS)("%s is a warning", ([, given, code]) => {
    const { plain, places } = marked(textOf(given));
    expect(
      faultsOf(plain).map(({ severity, code: found, at }) => `${severity} ${found} ${at?.line}:${at?.column}`),
    ).toEqual([`warning ${code} ${places[0]}`]);
  });

  test("of each port is told by the port's number", () => {
    const text = topologyText({ endpoints: "[p2]" }).replace("port: 80", "port: 8443");
    expect(faultsOf(text)[0]?.message).toContain("port 8443 of the service has no `targetPort`");
  });

  test("names a number that JSON has no word for", () => {
    expect(faultsOf("hosts: [{ name: .inf, address: 10.0.0.1 }]")[0]?.message).toBe(
      "`name` must be a text, not Infinity",
    );
  });

  test("that an alias brings along twice is said once", () => {
    expect(faultsOf("hosts:\n  - { name: a, address: &a 10.0.0 }\n  - { name: b, address: *a }").length).toBe(2);
    expect(
      faultsOf("hosts: [{ name: a, address: 10.0.0.1, pods: &p [{}] }, { name: b, address: 10.0.0.2, pods: *p }]"),
    ).toHaveLength(faultsOf("hosts: [{ name: a, address: 10.0.0.1, pods: [{}] }]").length);
  });

  test("in JSON has its place, whatever the indentation", () => {
    const { plain, places } = marked(
      JSON.stringify({ hosts: [], ["k".repeat(2000)]: 1 }, null, "\t").replace('"k', '‸"k'),
    );
    expect(faultsOf(plain).map(({ code, at }) => `${code} ${at?.line}:${at?.column}`)).toEqual([
      `UNKNOWN_KEY ${places[0]}`,
    ]);
  });

  test("too many to hold are counted, and an error among them is still one", () => {
    const faults = faultsOf(JSON.stringify({ hosts: Array(100_010).fill("x") }));
    expect(faults).toHaveLength(100_001);
    expect(faults.at(-1)).toMatchObject({ severity: "error", code: "TOO_MANY_FAULTS" });
    expect(faults.at(-1)?.message).toContain("100010");
  });

  test("stands in line with all others of the file", () => {
    const { plain, places } = marked(`hosts:
  - name: h1
    address: ‸10.0.0
    colour: blue
    podCIDR: ‸10.5.0.0/99
    pods: [{ name: p1, address: ‸"10.5.0.2:0" }]
services:
  - name: s1
    clusterIP: ‸10.100.0.1.80
    ports: [{ port: ‸70000, protocol: ‸TPC }, { ports: 80 }]
    endpoints: [p1, ‸p2]
  - name: ‸s1
    clusterIP: 10.100.0.2
    ports: [{ port: 80 }, { port: ‸80 }]
`);
    const found = faultsOf(plain).map(({ at }) => `${at?.line}:${at?.column}`);
    expect(found).toEqual(expect.arrayContaining(places));
    expect(found).toHaveLength(places.length + 2); // colour, and ports, which is taken for port
  });

  test("inside an alias is shown where the value is written", () => {
    const { plain, places } = marked(`hosts: [{ name: h1, address: 192.168.0.1 }]
services:
  - { name: s1, clusterIP: 10.100.0.1, ports: &p [{ port: ‸70000 }] }
  - { name: s2, clusterIP: 10.100.0.2, ports: *p }`);
    expect(faultsOf(plain).map(({ at }) => `${at?.line}:${at?.column}`)).toEqual([places[0], places[0]]);
  });

  test("in a key that a merge brought along is shown there", () => {
    const { plain, places } = marked(`hosts: [{ name: h1, address: 192.168.0.1 }]
services:
  - &base { name: s1, clusterIP: ‸10.100.0, ports: [{ port: 80 }] }
  - { <<: *base, name: s2 }`);
    expect(faultsOf(plain).map(({ at }) => `${at?.line}:${at?.column}`)).toEqual([places[0], places[0]]);
  });
});
