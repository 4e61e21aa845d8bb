/**
 * The long versions of what `long-runs.kernel.test.ts` plays for seconds. Exit code 1 where something is not as promised; the seed that
 * is printed plays the same again.
 *
 *     node soak/soak.ts [walk] [load] [kills] [rivals] [--seed N] [--steps N] [--changes N] [--rate N] [--kills N] [--rounds N]
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { changeUnderLoad } from "../src/testing/changes-under-load.ts";
import { playKills } from "../src/testing/kill-runs.ts";
import { playRandomWalk } from "../src/testing/random-walk.ts";
import { playRivals } from "../src/testing/rival-runs.ts";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e6)) },
    steps: { type: "string", default: "500" },
    changes: { type: "string", default: "10000" },
    rate: { type: "string", default: "500" },
    kills: { type: "string", default: "300" },
    rounds: { type: "string", default: "20" },
  },
});
const seed = Number(flags.seed);

/** Without and with affinity clients meet other chains. */
const LOADS = [
  { family: 4, isSticky: false },
  { family: 4, isSticky: true },
  { family: 6, isSticky: false },
  { family: 6, isSticky: true },
] as const;

const RUNS: Readonly<Record<string, () => Promise<string>>> = {
  async walk() {
    const steps = Number(flags.steps);
    await playRandomWalk({ seed, steps, samples: 10, onStep: progress("step", steps) });
    return `${steps} changes at random, each as a difference`;
  },
  async load() {
    const changes = Number(flags.changes);
    const lines: string[] = [];
    const each = Math.ceil(changes / LOADS.length);
    for (const { family, isSticky } of LOADS) {
      const report = await changeUnderLoad({ seed, changes: each, rate: Number(flags.rate), isSticky, family });
      const { answered, refused, reset, failed, late, lost, longestMs, errors } = report;
      lines.push(
        `IPv${family}${isSticky ? " with affinity" : ""}: ${each} changes, ${answered} connections answered, ` +
          `${refused} refused, ${reset} reset, ${failed} failed, ${late} late, ${lost} first packets lost, ` +
          `longest ${longestMs} ms${errors.map((error) => `, ${error}`).join("")}`,
      );
      if (refused + reset + failed + lost > 0) throw new Error(lines.join("\n"));
    }
    return lines.join("\n");
  },
  async kills() {
    const kills = Number(flags.kills);
    await playKills({ seed, kills, onKill: progress("kill", kills) });
    return `${kills} kills`;
  },
  async rivals() {
    const rounds = Number(flags.rounds);
    await playRivals({ seed, rounds });
    return `${rounds} rounds of two that apply at once beside a third that writes to its own table`;
  },
};

for (const name of positionals.length === 0 ? Object.keys(RUNS) : positionals) {
  const run = RUNS[name];
  if (run === undefined) throw new TypeError(`${name} is none of ${Object.keys(RUNS).join(", ")}`);
  const started = Date.now();
  try {
    console.log(`${name} (seed ${seed}): ${await run()}, in ${Math.round((Date.now() - started) / 1000)} s`);
  } catch (error) {
    console.error(`${name} (seed ${seed}) FAILED:`, error);
    process.exitCode = 1;
  }
}

function progress(unit: string, total: number): (done: number) => void {
  return (done) => {
    if ((done + 1) % 50 === 0) console.log(`${unit} ${done + 1} of ${total}`);
  };
}
