import type { ServicePortStatus } from "@svcproxy/host";
import { parsePort, parseTopology } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { ServedPart } from "./served-part.ts";

const TEXT = `
hosts: [{ name: one, address: 192.0.2.1 }]
services:
  - { name: web, clusterIP: 10.96.0.1, ports: [{ name: a, port: 80, nodePort: 30080 }, { name: b, port: 81 }], endpoints: [] }
  - { name: sctp, clusterIP: 10.96.0.2, ports: [{ port: 82, protocol: SCTP }], endpoints: [] }
`;

test("what is not served, and is told, is not looked for", () => {
  const { topology } = parseTopology(Buffer.from(TEXT), { file: "memory" });
  const statuses = (states: Readonly<Record<number, "NODE_PORT_TAKEN" | "SCTP_UNSERVED">>) =>
    topology.services.flatMap(({ namespace, name, ports }) =>
      ports.map(({ protocol, port, name: portName }): ServicePortStatus => {
        const code = states[port];
        return {
          ...{ service: `${namespace}/${name}`, portName, protocol, port, family: 4, since: new Date(0) },
          state: code === undefined ? "in-force" : "refused",
          ...(code === undefined ? {} : { problem: { code, severity: "error", subject: "it", text: "it is so" } }),
        };
      }),
    );
  const part = new ServedPart();
  expect(part.of(topology, statuses({}))).toBe(topology);
  const refused = statuses({ 80: "NODE_PORT_TAKEN", 82: "SCTP_UNSERVED" });
  const served = part.of(topology, refused);
  expect(part.of(topology, [...refused])).toBe(served);
  const ports = served.services.flatMap(({ name, ports }) => ports.map(({ port, nodePort }) => [name, port, nodePort]));
  expect(ports).toEqual([
    ["web", 80, undefined],
    ["web", 81, undefined],
  ]);
  expect(topology.services[0]?.ports[0]?.nodePort).toBe(parsePort(30_080));
});
