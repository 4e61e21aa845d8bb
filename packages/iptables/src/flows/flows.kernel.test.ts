import { whyNoKernelTests } from "@svcproxy/lab";
import { type Dialect, type Family, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { compileScript } from "../compile-rules.ts";
import type { DispatchMode } from "../dispatch/dispatch-mode.ts";
import { formatRestoreScript } from "../script/format-script.ts";
import { flowAddress } from "./flow-addresses.ts";
import type { Answer } from "./flow-agent.ts";
import { FLOWS, type Flow } from "./flow-table.ts";
import { flowTopology } from "./flow-topology.ts";
import { createFlowWorld, type FlowWorld } from "./flow-world.ts";

const reason = whyNoKernelTests(["ip", "nsenter", "iptables-nft", "ip6tables-nft", "iptables-legacy", "python3"]);

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

/** Nobody who is to be answered waits so long; who is to be met with silence need not wait longer. */
const PATIENCE_SECONDS = { answer: 10, silence: 1 };
/** Chance to miss one of three endpoints so often in a row: under one in a billion. */
const MAX_DIALS = 60;

describe.skipIf(reason !== undefined)(`flows through a kernel${reason === undefined ? "" : ` (${reason})`}`, () => {
  test.concurrent.for(SETTINGS)(
    "$dialect dialect, $variant variant, dispatch $dispatch",
    { timeout: 120_000 },
    async (setting) => {
      await using world = await createFlowWorld();
      await load(world, setting);
      const flows = FLOWS.filter(({ only = setting.dialect }) => only === setting.dialect);
      const complaints = ([4, 6] as const).map(async (family) => {
        // Those that wait for silence do so side by side; the others meet what the kernel remembers of a client.
        const silent = flows.filter(({ expected }) => expected === "dropped");
        const waiting = Promise.all(silent.map((flow) => play(flow, { world, family })));
        const found: string[] = [];
        for (const flow of flows) {
          if (flow.expected !== "dropped") found.push(...(await play(flow, { world, family })));
        }
        return [...found, ...(await waiting).flat()];
      });
      expect((await Promise.all(complaints)).flat()).toEqual([]);
    },
  );
});

async function load({ host }: FlowWorld, { variant, dialect, dispatch }: Setting): Promise<void> {
  const plan = planHost(flowTopology({ crowded: dispatch === "tree" }), { host: "edge", dialect });
  for (const family of [4, 6] as const) {
    const text = [...formatRestoreScript(compileScript(plan, { family, dispatch }))].join("");
    await host.run(`${family === 4 ? "iptables" : "ip6tables"}-${variant}-restore`, ["--noflush"], { input: text });
  }
}

/** Dials as often as it takes to see every endpoint. @returns what was not as expected */
async function play(flow: Flow, { world, family }: { world: FlowWorld; family: Family }): Promise<readonly string[]> {
  const from = flowAddress(flow.from, family);
  const dial = () =>
    world.agentOf(flow.from).dial({
      protocol: flow.protocol ?? "tcp",
      from,
      to: flowAddress(flow.to, family),
      port: flow.port,
      seconds: flow.expected === "dropped" ? PATIENCE_SECONDS.silence : PATIENCE_SECONDS.answer,
    });
  const { expected } = flow;
  const complain = (answer: Answer | string) => [`${flow.name} (IPv${family}): ${JSON.stringify(answer)}`];
  if (typeof expected === "string") {
    const answer = await dial();
    const met = "refused" in answer ? "refused" : "silent" in answer ? "dropped" : undefined;
    return met === expected ? [] : complain(answer);
  }
  const missing = new Set(expected.endpoints.map((name) => `${flowAddress(name, family)} ${expected.port}`));
  const all = new Set(missing);
  for (let dials = 0; dials < MAX_DIALS && missing.size > 0; dials++) {
    const answer = await dial();
    if (!("endpoint" in answer) || !all.has(answer.endpoint)) return complain(answer);
    const isItself = answer.endpoint === `${from} ${expected.port}`;
    const isMasqueraded = expected.masquerade === "hairpin" ? isItself : expected.masquerade;
    if ((answer.source !== from) !== isMasqueraded) return complain(answer);
    if (expected.sticky === true) {
      // The first answer is the one to stay with.
      if (dials === 0) for (const other of all) if (other !== answer.endpoint) all.delete(other);
      if (dials === 3) return [];
    } else missing.delete(answer.endpoint);
  }
  return missing.size === 0 || expected.sticky === true ? [] : complain(`never reached ${[...missing].join(", ")}`);
}
