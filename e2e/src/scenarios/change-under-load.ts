import { HOSTS, hostsWith } from "../hosts.ts";
import type { AskOutcome } from "../stage/ask.ts";
import type { Stage } from "../stage/stage.ts";
import type { Scenario } from "./scenario.ts";

const MOVING = [
  { from: "os1_my2", to: "10.100.100.9:80" },
  { from: "os2_my2", to: "10.100.100.9:80" },
  { from: "cloudos1", to: "10.100.100.9:80" },
  { from: "client", to: "192.168.1.6:34219" },
  { from: "client", to: "192.168.1.7:34219" },
] as const;

/** New connections of each client, one at a time. */
const EVERY_MS = 25;

/** What is changed while the clients go on: an endpoint comes, one goes, a service comes and goes. */
const CHANGES = [
  { endpoints: ["os1_my1", "os2_my1", "os2_my2"], late: false },
  { endpoints: ["os1_my1", "os2_my2"], late: true },
  { endpoints: ["os1_my1"], late: true },
  { endpoints: ["os1_my1", "os2_my1"], late: false },
] as const;

/** In all of CHANGES, so its connections have to live through them. */
const STAYING = "os1_my1";

interface Connection {
  readonly row: string;
  /** Both by `performance.now()`; the connection was made in between. */
  readonly begun: number;
  readonly ended: number;
  readonly outcome: AskOutcome;
}

/** A time in which a change had returned and the next one was not begun. */
interface Calm {
  readonly from: number;
  readonly to: number;
  readonly endpoints: readonly string[];
}

export const CHANGE_UNDER_LOAD: Scenario = {
  name: "change-under-load",
  promise:
    "While endpoints and services come and go, no connection is refused or reset, and an endpoint that is gone gets no new one",
  async play(stage) {
    const faults: string[] = await keepConnections(stage);
    const load = startLoad(stage);
    const calms: Calm[] = [];
    try {
      await pause(300);
      for (const change of CHANGES) {
        await stage.change(hostsWith(change));
        const from = performance.now();
        faults.push(...(await faultsOfKept(stage)));
        if (change.late) faults.push(...(await faultsOfLate(stage)));
        await pause(400);
        calms.push({ from, to: performance.now(), endpoints: change.endpoints });
      }
    } finally {
      const connections = await load.stop();
      await stage.change(HOSTS);
      faults.push(...judge(connections, calms));
    }
    if (faults.length > 0) throw new Error(faults.join("\n"));
  },
};

function startLoad(stage: Stage): { stop(): Promise<readonly Connection[]> } {
  const connections: Connection[] = [];
  let isOver = false;
  const clients = MOVING.map(async ({ from, to }) => {
    while (!isOver) {
      const begun = performance.now();
      const [outcome] = await stage.ask(from, to);
      const ended = performance.now();
      if (outcome !== undefined) connections.push({ row: `${from} to ${to}`, begun, ended, outcome });
      await pause(EVERY_MS - (ended - begun));
    }
  });
  return {
    async stop() {
      isOver = true;
      await Promise.all(clients);
      return connections;
    },
  };
}

/** Connections that stay open through the changes, enough that each client has one to the endpoint that stays. */
async function keepConnections(stage: Stage): Promise<string[]> {
  const faults = await Promise.all(
    MOVING.map(async ({ from, to }) => {
      const outcomes = await stage.ask(from, to, { times: 48, keep: true });
      const stay = outcomes.filter((outcome) => outcome.kind === "answered" && outcome.by === STAYING);
      return stay.length === 0 ? [`${from} to ${to}: ${STAYING} did not answer any of ${outcomes.length}`] : [];
    }),
  );
  return faults.flat();
}

async function faultsOfKept(stage: Stage): Promise<readonly string[]> {
  const places = [...new Set(MOVING.map(({ from }) => from))];
  const faults = await Promise.all(
    places.map(async (place) => {
      const outcomes = await stage.poke(place);
      return outcomes.flatMap((outcome) =>
        outcome.kind === "failed" && outcome.by === STAYING
          ? [`a connection of ${place} to ${STAYING}, which stays: ${outcome.code}`]
          : [],
      );
    }),
  );
  return [...new Set(faults.flat())];
}

async function faultsOfLate(stage: Stage): Promise<readonly string[]> {
  const outcomes = await stage.ask("os1_my1", "10.100.100.10:80", { times: 4 });
  return outcomes.some(({ kind }) => kind !== "answered")
    ? [`os1_my1 to 10.100.100.10:80, a service that has come: ${JSON.stringify(outcomes)}`]
    : [];
}

/** Connections that nobody answered, and those that an endpoint answered after it was gone. */
function judge(connections: readonly Connection[], calms: readonly Calm[]): readonly string[] {
  return connections.flatMap(({ row, begun, ended, outcome }) => {
    if (outcome.kind !== "answered") return [`${row}: ${JSON.stringify(outcome)} during the changes`];
    const calm = calms.find(({ from, to }) => from <= begun && ended <= to);
    if (calm === undefined || calm.endpoints.includes(outcome.by)) return [];
    return [`${row}: a new connection went to ${outcome.by} although only ${calm.endpoints.join(" and ")} were left`];
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
