import { chiSquare, chiSquareTail } from "./chi-square.ts";
import type { Scenario } from "./scenario.ts";

const CONNECTIONS = 1000;

/**
 * The chance that a right build fails one test. A whole run has 40 of them (five clients on eight stages), so it fails by
 * chance in fewer than one of a million runs; even shares of 0.35 and 0.65 instead of halves are found nearly always.
 */
const ERROR_RATE = 1e-8;

/** Each kind of client comes to its endpoint by rules of its own. */
const SHARED = [
  { from: "os1_my1", to: "10.100.100.1:7070", endpoints: ["os1_my1", "os2_my1"] },
  { from: "os2_my1", to: "10.100.100.2:6060", endpoints: ["os1_my2", "os2_my2"] },
  { from: "cloudos1", to: "10.100.100.3:80", endpoints: ["os1_my1", "os1_my2", "os2_my1", "os2_my2"] },
  { from: "cloudos2", to: "10.100.100.1:7070", endpoints: ["os1_my1", "os2_my1"] },
  { from: "client", to: "192.168.1.6:34211", endpoints: ["os1_my1", "os2_my1"] },
] as const;

export const SHARES: Scenario = {
  name: "shares",
  promise: "Each endpoint gets an equal share of the connections",
  async play(stage) {
    for (const { from, to, endpoints } of SHARED) {
      const outcomes = await stage.ask(from, to, { times: CONNECTIONS, parallel: 16 });
      const counts = endpoints.map(
        (endpoint) => outcomes.filter((outcome) => outcome.kind === "answered" && outcome.by === endpoint).length,
      );
      const answered = counts.reduce((sum, count) => sum + count, 0);
      if (answered !== CONNECTIONS)
        throw new Error(`${from} to ${to}: ${CONNECTIONS - answered} of ${CONNECTIONS} connections were not answered`);
      const chance = chiSquareTail(chiSquare(counts), endpoints.length - 1);
      if (chance < ERROR_RATE) {
        const shares = endpoints.map((endpoint, index) => `${endpoint} ${counts[index]}`).join(", ");
        throw new Error(
          `${from} to ${to}: ${shares} of ${CONNECTIONS} connections; equal shares come out so with a chance of ${chance}`,
        );
      }
    }
  },
};
