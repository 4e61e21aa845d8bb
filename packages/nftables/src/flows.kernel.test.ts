import { describeFlows, EDGE, type FlowWorld } from "@svcproxy/host/testing";
import { planHost, servesNodePortsOnLocalhost } from "@svcproxy/topology";
import { compileTable } from "./compile-table.ts";
import { formatTable } from "./table/format-table.ts";

describeFlows(
  [false, true].map((crowded) => ({
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
      if (servesNodePortsOnLocalhost(topology.node)) {
        await host.run("sysctl", ["-q", "-w", "net.ipv4.conf.all.route_localnet=1"]);
      }
      return undefined;
    },
  })),
  { tools: ["nft"] },
);
