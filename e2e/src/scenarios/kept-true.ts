import { setTimeout as delay } from "node:timers/promises";
import { type AgentColumn, agentIs } from "../data-paths.ts";
import { HOSTS, TOPOLOGY_FILE } from "../hosts.ts";
import { HOST_NAMES, type Stage } from "../stage/stage.ts";
import type { Scenario } from "./scenario.ts";

/** A pod, a host and a client outside, at a ClusterIP and a NodePort. */
const ASKED = [
  { from: "os1_my1", to: "10.100.100.1:7070" },
  { from: "cloudos2", to: "10.100.100.1:7070" },
  { from: "client", to: "192.168.1.6:34211" },
] as const;

/** What becomes of the file; each is a fault, and takes nothing away. */
const SPOILT: readonly (readonly [string, string])[] = [
  ["broken", `echo 'services: [' >${TOPOLOGY_FILE}`],
  ["emptied", `: >${TOPOLOGY_FILE}`],
  ["a pipe", `rm ${TOPOLOGY_FILE} && mkfifo ${TOPOLOGY_FILE}`],
  ["gone", `rm ${TOPOLOGY_FILE}`],
];

/** What was taken away is back within this time, also on a busy machine. */
const MENDED_WITHIN_MS = 20_000;

export const KEPT_TRUE: Scenario = {
  name: "kept-true",
  promise:
    "Whatever becomes of its file, of what it wrote and of itself, svcproxy run serves on or again; a second one is refused",
  notApplicable: ({ dataPath, overlay }) =>
    dataPath.agent === undefined
      ? "nobody keeps what was applied once"
      : overlay === "vxlan"
        ? undefined
        : "nothing of it hangs on the overlay",
  async play(stage) {
    const { agent } = stage.dataPath;
    if (agent === undefined) throw new TypeError("no agent");
    const faults: string[] = [];
    try {
      for (const [name, command] of SPOILT) {
        await stage.run("cloudos1", ["sh", "-c", command]);
        await Promise.all(HOST_NAMES.map((host) => agentIs(stage.lab, host, ({ state }) => state === "degraded")));
        faults.push(...(await unanswered(stage, `while its file is ${name}`)));
        await stage.write(JSON.stringify(HOSTS));
        await Promise.all(HOST_NAMES.map((host) => agentIs(stage.lab, host, ({ state }) => state === "following")));
      }
    } finally {
      await stage.write(JSON.stringify(HOSTS));
    }
    faults.push(...(await secondIsRefused(stage, agent)));
    faults.push(...(await mends(stage, agent)));
    faults.push(...(await outlivesKill(stage, agent)));
    if (faults.length > 0) throw new Error(faults.join("\n"));
  },
};

async function unanswered(stage: Stage, when: string): Promise<readonly string[]> {
  const faults = await Promise.all(
    ASKED.map(async ({ from, to }) => {
      const outcomes = await stage.ask(from, to, { times: 4 });
      const lost = outcomes.filter(({ kind }) => kind !== "answered");
      return lost.length === 0 ? [] : [`${from} to ${to}, ${when}: ${JSON.stringify(lost)}`];
    }),
  );
  return faults.flat();
}

async function secondIsRefused(stage: Stage, { command }: AgentColumn): Promise<readonly string[]> {
  const { pid } = await agentIs(stage.lab, "cloudos1", () => true);
  const { exitCode, stderr } = await stage.lab.run("cloudos1", [...command, "--host", "cloudos1"]);
  return exitCode === 1 && stderr.includes(`pid ${pid} runs svcproxy run`)
    ? []
    : [`a second agent ended with ${exitCode}: ${stderr}`];
}

async function mends(stage: Stage, { damage }: AgentColumn): Promise<readonly string[]> {
  const before = await Promise.all(HOST_NAMES.map((host) => agentIs(stage.lab, host, () => true)));
  await Promise.all(HOST_NAMES.map((host) => stage.run(host, ["sh", "-c", damage])));
  const deadlineMs = performance.now() + MENDED_WITHIN_MS;
  for (;;) {
    const faults = await unanswered(stage, `after ${damage}`);
    if (faults.length === 0) break;
    if (performance.now() > deadlineMs) return faults;
    await delay(50);
  }
  // It is counted as well.
  await Promise.all(
    HOST_NAMES.map((host, index) =>
      agentIs(stage.lab, host, ({ kernel }) => kernel.mended > (before[index]?.kernel.mended ?? 0)),
    ),
  );
  return [];
}

/** On one host: killed, what it wrote serves on where rules carry it, and the next one takes it over as it is. */
async function outlivesKill(stage: Stage, { survivesKill }: AgentColumn): Promise<readonly string[]> {
  const { pid } = await agentIs(stage.lab, "cloudos1", () => true);
  await stage.run("cloudos1", ["kill", "-KILL", String(pid)]);
  const faults = survivesKill ? await unanswered(stage, "while no agent runs") : [];
  await stage.dataPath.start(stage.lab, "cloudos1");
  return [...faults, ...(await unanswered(stage, "after kill -9"))];
}
