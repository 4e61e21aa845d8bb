import { whyNoKernelTests } from "@svcproxy/lab";
import { planHost, servesNodePortsOnLocalhost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { compileScript } from "../compile-rules.ts";
import type { Dialect } from "../dialect.ts";
import type { DispatchMode } from "../dispatch/dispatch-mode.ts";
import { ROUTE_LOCALNET } from "../rule-parts/localhost-guard.ts";
import { formatRestoreScript } from "../script/format-script.ts";
import { type Flow, type FlowScenario, flowsOf } from "./flow.ts";
import { EDGE, flowAddress } from "./flow-places.ts";
import { flowTopology } from "./flow-topology.ts";
import { createFlowWorld, type FlowWorld } from "./flow-world.ts";
import { dialFlow, meetsSilence, playFlow } from "./play-flow.ts";
import { FLOW_SCENARIOS, LOCALHOST } from "./scenarios/flow-scenarios.ts";

const reason = whyNoKernelTests(["ip", "nsenter", "iptables-nft", "ip6tables-nft", "iptables-legacy", "python3"]);

interface Setting {
  readonly scenario: FlowScenario;
  readonly variant: "nft" | "legacy";
  readonly dialect: Dialect;
  readonly dispatch: DispatchMode;
}

// Each pair of values meets in one of them.
const VARIANTS: readonly Omit<Setting, "scenario">[] = [
  { variant: "nft", dialect: "document", dispatch: "linear" },
  { variant: "nft", dialect: "kubernetes", dispatch: "tree" },
  { variant: "legacy", dialect: "document", dispatch: "tree" },
  { variant: "legacy", dialect: "kubernetes", dispatch: "linear" },
];
const SETTINGS = FLOW_SCENARIOS.flatMap((scenario) => VARIANTS.map((variant): Setting => ({ scenario, ...variant })));

describe.skipIf(reason !== undefined)(`flows through a kernel${reason === undefined ? "" : ` (${reason})`}`, () => {
  test.concurrent.for(SETTINGS)(
    "$scenario.name, $dialect dialect, $variant variant, dispatch $dispatch",
    { timeout: 120_000 },
    async (setting) => {
      await using world = await createStage(setting);
      const complaints = ([4, 6] as const).map(async (family) => {
        const flows = flowsOf(setting.scenario, { ...setting, family });
        const play = (flow: Flow) => playFlow(flow, { world, family });
        // Those that wait for silence do so side by side; the others meet what the kernel remembers of a client.
        const waiting = Promise.all(flows.filter(meetsSilence).map(play));
        const found: string[] = [];
        for (const flow of flows) if (!meetsSilence(flow)) found.push(...(await play(flow)));
        return [...found, ...(await waiting).flat()];
      });
      expect((await Promise.all(complaints)).flat()).toEqual([]);
    },
  );

  // Else the silence that a neighbour meets would prove nothing.
  test.concurrent.for(VARIANTS)(
    "without the guard a neighbour reaches loopback, $dialect dialect, $variant variant",
    { timeout: 120_000 },
    async (variant) => {
      await using world = await createStage({ scenario: LOCALHOST, ...variant });
      await world.host.run(`iptables-${variant.variant}`, ["-D", "INPUT", "-j", "KUBE-FIREWALL"]);
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

/** The world of a scenario, with its rules on the host. */
async function createStage({ scenario, variant, dialect, dispatch }: Setting): Promise<FlowWorld> {
  await using stack = new AsyncDisposableStack();
  const topology = flowTopology(scenario, { crowded: dispatch === "tree" });
  const world = stack.use(await createFlowWorld(scenario, topology));
  const plan = planHost(topology, { host: EDGE });
  for (const family of [4, 6] as const) {
    const text = [...formatRestoreScript(compileScript(plan, { dialect, family, dispatch }))].join("");
    const restore = `${family === 4 ? "iptables" : "ip6tables"}-${variant}-restore`;
    await world.host.run(restore, ["--noflush"], { input: text });
  }
  if (servesNodePortsOnLocalhost(topology.node)) await world.host.run("sysctl", ["-q", "-w", `${ROUTE_LOCALNET}=1`]);
  stack.move();
  return world;
}
