import { servicePortStatuses } from "@svcproxy/host";
import { parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { compileService } from "./policy/compile-service.ts";
import { listens } from "./policy/frontend-spec.ts";
import { shortfalls } from "./unserved.ts";

function planOf(services: string) {
  const { topology } = parseTopology(Buffer.from(`hosts: [{ name: a, address: 192.0.2.1 }]\nservices:\n${services}`), {
    file: "topology.yaml",
  });
  return planHost(topology, { host: "a" });
}

test("a port that no userspace proxy can serve is refused, and its neighbours are in force", () => {
  const { ports } = planOf(
    '  - { name: signalling, clusterIP: 10.96.0.1, ports: [{ name: s, port: 80, protocol: SCTP }, { name: t, port: 80 }], endpoints: ["192.0.2.7:80"] }',
  );
  const shortfall = shortfalls({ frontends: [], reasons: new Map() });
  const statuses = servicePortStatuses({ ports, before: [], now: new Date(), shortfall });
  expect(statuses.map(({ state }) => state)).toEqual(["refused", "in-force"]);
  expect(statuses[0]).toMatchObject({
    problem: { code: "SCTP_UNSERVED", subject: "service default/signalling" },
  });
});

test.for(["TCP", "UDP"])(
  "a %s service that the loop guard leaves without endpoints has nobody who listens, so it refuses at once",
  (protocol) => {
    const { ports } = planOf(
      [
        `  - { name: one, clusterIP: 10.96.0.1, ports: [{ port: 80, protocol: ${protocol} }], endpoints: ["10.96.0.2:80"] }`,
        `  - { name: two, clusterIP: 10.96.0.2, ports: [{ port: 80, protocol: ${protocol} }], endpoints: ["10.96.0.1:80"] }`,
      ].join("\n"),
    );
    const { frontends } = compileService(ports);
    expect(frontends).toHaveLength(2);
    expect(frontends.filter(listens)).toEqual([]);
  },
);
