import { parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { wantedPorts } from "../compile/wanted-port.ts";
import { compileTable } from "../compile-table.ts";
import { udpFrontendsOf, wantedUdpFrontends } from "./udp-frontends.ts";

const TOPOLOGY = `
hosts:
  - { name: one, addresses: [192.168.1.6, "fd01::6"], pods: [{ name: a, addresses: ["10.5.0.2:53", "[fd05::2]:53"] }] }
  - { name: two, addresses: [192.168.1.7, "fd01::7"], pods: [{ name: b, addresses: ["10.5.1.2:53", "[fd05:1::2]:53"] }] }
services:
  - name: dns
    clusterIPs: [10.96.0.53, "fd96::53"]
    externalTrafficPolicy: Local
    ports: [{ name: udp, protocol: UDP, port: 53, nodePort: 30053 }, { name: tcp, port: 53 }]
    endpoints: [a, b]
  - { name: log, clusterIPs: [10.96.0.54, "fd96::54"], sessionAffinity: ClientIP, ports: [{ port: 514, protocol: UDP }], endpoints: [b] }
`;

const FRONTENDS = {
  4: [
    ["10.96.0.53:53", ["10.5.0.2:53", "10.5.1.2:53"]],
    [":30053", ["10.5.0.2:53", "10.5.1.2:53"]],
    ["10.96.0.54:514", ["10.5.1.2:53"]],
  ],
  6: [
    ["fd96::53:53", ["[fd05::2]:53", "[fd05:1::2]:53"]],
    [":30053", ["[fd05::2]:53", "[fd05:1::2]:53"]],
    ["fd96::54:514", ["[fd05:1::2]:53"]],
  ],
} as const;

test.for([4, 6] as const)("a plan and its table agree on where UDP goes in IPv%i", (family) => {
  const plan = planHost(parseTopology(Buffer.from(TOPOLOGY), { file: "t" }).topology, { host: "one" });
  const listed = ({ endpoints }: ReturnType<typeof udpFrontendsOf>) =>
    [...endpoints].map(([frontend, sent]) => [frontend, [...sent].sort()] as const).sort();
  const expected = FRONTENDS[family].map(([frontend, sent]) => [frontend, [...sent].sort()] as const).sort();
  expect(listed(wantedUdpFrontends(wantedPorts(plan, { family }), family))).toEqual(expected);
  const { table } = compileTable(plan, { family });
  expect(listed(udpFrontendsOf(table))).toEqual(expected);
  expect(udpFrontendsOf(table).orphans).toEqual(new Set());
  const elements = new Map(table.elements);
  elements.delete("services");
  elements.delete("nodeports");
  expect(udpFrontendsOf({ ...table, elements }).orphans).toEqual(new Set(expected.flatMap(([, sent]) => sent)));
});
