import { ROUTE_LOCALNET } from "@svcproxy/host";
import {
  describeFlows,
  dialFlow,
  EDGE,
  type FlowSubject,
  type FlowWorld,
  flowAddress,
  LOCALHOST,
  serveScenario,
  whyNoFlows,
} from "@svcproxy/host/testing";
import { planHost, servesNodePortsOnLocalhost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { compileTable } from "./compile-table.ts";
import { formatTable } from "./table/format-table.ts";

const tools = ["nft"];
const reason = whyNoFlows(tools);

describeFlows([false, true].map(subjectOf), { tools });

// Else the silence that a neighbour meets would prove nothing.
describe.skipIf(reason !== undefined)(`the guard of loopback${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("without it a neighbour reaches loopback", { timeout: 300_000 }, async () => {
    await using world = await serveScenario(LOCALHOST, subjectOf(false));
    await world.host.run("nft", ["flush", "chain", "ip", "svcproxy", "guard-localhost"]);
    const keptOff = LOCALHOST.flows.filter(({ expected }) => expected === "kept off");
    const met = await Promise.all(keptOff.map((flow) => dialFlow(flow, { world, family: 4 })));
    expect(met).toEqual(
      keptOff.map(({ from }) => ({
        endpoint: "127.0.0.1 8080",
        source: flowAddress(from, { topology: world.topology, family: 4 }),
      })),
    );
  });
});

function subjectOf(crowded: boolean): FlowSubject {
  return {
    name: crowded ? "nftables, among many services" : "nftables",
    style: "nftables",
    carries: "rules",
    crowded,
    async serve({ topology, host }: FlowWorld) {
      const plan = planHost(topology, { host: EDGE });
      for (const family of [4, 6] as const) {
        const input = [...formatTable(compileTable(plan, { family }).table)].join("");
        await host.run("nft", ["-f", "-"], { input });
      }
      if (servesNodePortsOnLocalhost(topology.node)) await host.run("sysctl", ["-q", "-w", `${ROUTE_LOCALNET}=1`]);
      return undefined;
    },
  };
}
