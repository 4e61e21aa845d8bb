import type { Scenario } from "./scenario.ts";

/** Who dials what that is no service, and as whom the answering pod knows them. */
const DIRECT = [
  { from: "os1_my1", to: "10.5.75.3:3000", by: "os1_my2", seen: "10.5.75.2" },
  { from: "os1_my1", to: "10.5.88.2:3000", by: "os2_my1", seen: "10.5.75.2" },
  { from: "os2_my2", to: "10.5.75.2:3000", by: "os1_my1", seen: "10.5.88.3" },
  { from: "os1_my1", to: "[fd00:5:88::2]:3000", by: "os2_my1", seen: "fd00:5:75::2" },
  { from: "client", to: "192.168.1.6:9100", by: "agent1", seen: "192.168.1.254" },
  { from: "os1_my1", to: "192.168.1.6:9100", by: "agent1", seen: "10.5.75.2" },
] as const;

/** Nobody listens there, and nobody did before svcproxy came. */
const REFUSED = [
  { from: "client", to: "192.168.1.6:34299" },
  { from: "cloudos1", to: "192.168.1.7:7070" },
] as const;

export const UNRELATED: Scenario = {
  name: "unrelated",
  promise: "A connection to something else is left as it was, its source address too",
  async play(stage) {
    const answers = DIRECT.map(async ({ from, to, by, seen }) => {
      const [outcome] = await stage.ask(from, to);
      if (outcome?.kind === "answered" && outcome.by === by && outcome.seen === seen) return [];
      return [`${from} to ${to}: ${JSON.stringify(outcome)} instead of an answer by ${by}, who sees ${seen}`];
    });
    const refusals = REFUSED.map(async ({ from, to }) => {
      const [outcome] = await stage.ask(from, to);
      return outcome?.kind === "refused" ? [] : [`${from} to ${to}: ${JSON.stringify(outcome)} instead of a refusal`];
    });
    const faults = (await Promise.all([...answers, ...refusals])).flat();
    if (faults.length > 0) throw new Error(faults.join("\n"));
  },
};
