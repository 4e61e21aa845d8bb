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
import { compileScript } from "./compile-rules.ts";
import type { Dialect } from "./dialect.ts";
import type { DispatchMode } from "./dispatch/dispatch-mode.ts";
import { formatRestoreScript } from "./script/format-script.ts";

const tools = ["iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"];
const reason = whyNoFlows(tools);

interface Setting {
  readonly variant: "nft" | "legacy";
  readonly dialect: Dialect;
  readonly dispatch: DispatchMode;
}

// Each pair of values meets in one of them.
const SETTINGS: readonly Setting[] = [
  { variant: "nft", dialect: "document", dispatch: "linear" },
  { variant: "nft", dialect: "kubernetes", dispatch: "tree" },
  { variant: "legacy", dialect: "document", dispatch: "tree" },
  { variant: "legacy", dialect: "kubernetes", dispatch: "linear" },
];

describeFlows(SETTINGS.map(subjectOf), { tools });

// Else the silence that a neighbour meets would prove nothing.
describe.skipIf(reason !== undefined)(`the guard of loopback${reason === undefined ? "" : ` (${reason})`}`, () => {
  test.concurrent.for(SETTINGS)(
    "without it a neighbour reaches loopback, $dialect dialect, $variant variant",
    { timeout: 300_000 },
    async (setting) => {
      await using world = await serveScenario(LOCALHOST, subjectOf(setting));
      await world.host.run(`iptables-${setting.variant}`, ["-D", "INPUT", "-j", "KUBE-FIREWALL"]);
      const keptOff = LOCALHOST.flows.filter(({ expected }) => expected === "kept off");
      const met = await Promise.all(keptOff.map((flow) => dialFlow(flow, { world, family: 4 })));
      expect(met).toEqual(
        keptOff.map(({ from }) => ({
          endpoint: "127.0.0.1 8080",
          source: flowAddress(from, { topology: world.topology, family: 4 }),
        })),
      );
    },
  );
});

function subjectOf({ variant, dialect, dispatch }: Setting): FlowSubject {
  return {
    name: `${dialect} dialect, ${variant} variant, dispatch ${dispatch}`,
    style: dialect,
    carries: "rules",
    crowded: dispatch === "tree",
    async serve({ topology, host }: FlowWorld) {
      const plan = planHost(topology, { host: EDGE });
      for (const family of [4, 6] as const) {
        const text = [...formatRestoreScript(compileScript(plan, { dialect, family, dispatch }))].join("");
        const restore = `${family === 4 ? "iptables" : "ip6tables"}-${variant}-restore`;
        await host.run(restore, ["--noflush"], { input: text });
      }
      if (servesNodePortsOnLocalhost(topology.node)) await host.run("sysctl", ["-q", "-w", `${ROUTE_LOCALNET}=1`]);
      return undefined;
    },
  };
}
