import { readFileSync } from "node:fs";
import { type HostState, hostStateOf, tracePacket } from "@svcproxy/rules";
import { type Dialect, parseIpAddress, parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { compileRules } from "../compile-rules.ts";
import { fullRuleSet } from "../full-rule-set.ts";

const file = new URL("../../golden/node-settings/topology.yaml", import.meta.url);
const { topology } = parseTopology(readFileSync(file), { file: file.pathname });

/** The host as it is once route_localnet, which NodePorts on 127.0.0.1 need, is on. */
const hostState: HostState = (() => {
  const implied = hostStateOf(topology, { host: "edge" });
  return { ...implied, sysctls: { ...implied.sysctls, "net.ipv4.conf.all.route_localnet": "1" } };
})();

interface Settled {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly inInterface?: string;
  /** Verdict, and for an endpoint whether it sees another address. */
  readonly expected: readonly [verdict: string, address?: string, masqueraded?: boolean];
}

const SETTLED: readonly Settled[] = [
  {
    name: "masqueradeAll rewrites a client of the ClusterIP",
    ...{ from: "10.20.0.9", to: "10.96.0.80", port: 80 },
    expected: ["accepted", "10.20.0.2", true],
  },
  {
    name: "under internal policy Local too",
    ...{ from: "10.20.0.9", to: "10.96.0.81", port: 80 },
    expected: ["accepted", "10.20.0.2", true],
  },
  {
    name: "a NodePort is served on the addresses that are listed",
    ...{ from: "172.31.0.99", to: "172.31.0.10", port: 30080 },
    expected: ["accepted", "10.20.0.2", false],
  },
  {
    name: "and on no other",
    ...{ from: "192.0.2.99", to: "192.0.2.10", port: 30080 },
    expected: ["untouched", "192.0.2.10", false],
  },
  {
    name: "the host reaches a NodePort on 127.0.0.1, masqueraded",
    ...{ from: "127.0.0.1", to: "127.0.0.1", port: 30080 },
    expected: ["accepted", "10.20.0.2", true],
  },
  {
    name: "a neighbour does not reach what listens on loopback",
    ...{ from: "192.0.2.99", to: "127.0.0.1", port: 8080, inInterface: "eth0" },
    expected: ["dropped"],
  },
];

for (const dialect of ["document", "kubernetes"] satisfies Dialect[]) {
  test.for(SETTLED)(`$name (${dialect} dialect)`, ({ from, to, port, inInterface, expected }) => {
    const plan = planHost(topology, { host: "edge", dialect });
    const rules = fullRuleSet(compileRules(plan, { family: 4 }));
    const [source, destination] = [parseIpAddress(from), parseIpAddress(to)];
    if (source === undefined || destination === undefined) throw new TypeError("not an address");
    const packet = { from: source, to: destination, port, ...(inInterface !== undefined && { inInterface }) };
    const { branches } = tracePacket({ rules, hostState, plan, packet });
    const found = branches.map((branch) =>
      branch.kind !== "decided"
        ? [branch.kind]
        : branch.outcome.endpoint === undefined
          ? [branch.outcome.verdict]
          : [branch.outcome.verdict, branch.outcome.endpoint.address, branch.outcome.masqueraded],
    );
    expect(found).toEqual([expected]);
  });
}
