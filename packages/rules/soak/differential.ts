/**
 * The long version of what the differential tests ask for seconds: random rules of iptables and of nftables are loaded in
 * namespaces, random packets are sent, and the engine must have said what became of each. Needs root. Exit code 1 where
 * they disagree; each disagreement is printed as it is found, already shrunk.
 *
 *     node soak/differential.ts [--pairs N] [--seed N] [legacy] [nft] [tables]
 */
import process from "node:process";
import { parseArgs } from "node:util";
import type { DifferentialOptions, DifferentialResult } from "../src/testing/differential/differential-loop.ts";
import { runDifferential } from "../src/testing/differential/differential-run.ts";
import { createKernelWorld, type KernelWorld } from "../src/testing/differential/kernel-world.ts";
import { runNftDifferential } from "../src/testing/differential/nft/nft-differential-run.ts";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pairs: { type: "string", default: "200000" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
  },
});

type Run = (world: KernelWorld, options: DifferentialOptions) => Promise<DifferentialResult>;

/** What is loaded, and its share of the pairs. */
const RUNS: Readonly<Record<string, { readonly share: number; readonly run: Run }>> = {
  legacy: { share: 3, run: (world, options) => runDifferential(world, { ...options, variant: "legacy" }) },
  nft: { share: 1, run: (world, options) => runDifferential(world, { ...options, variant: "nft" }) },
  tables: { share: 4, run: runNftDifferential },
};

const chosen = Object.entries(RUNS).filter(([name]) => positionals.length === 0 || positionals.includes(name));
const shares = chosen.reduce((sum, [, { share }]) => sum + share, 0);
const total = Number(flags.pairs);
const PACKETS_PER_RULE_SET = 16;
/** Enough that a world is worth its making, few enough that progress is seen. */
const RULE_SETS_AT_ONCE = 100;

console.info(`seed ${flags.seed}, ${total} pairs of ${chosen.map(([name]) => name).join(", ")}`);
let disagreements = 0;
for (const [name, { share, run }] of chosen) {
  await using world = await createKernelWorld();
  const wanted = (total * share) / shares;
  let pairs = 0;
  let undecided = 0;
  const questions = new Map<string, number>();
  for (let seed = Number(flags.seed); pairs < wanted; seed += RULE_SETS_AT_ONCE) {
    const ruleSets = Math.min(RULE_SETS_AT_ONCE, Math.ceil((wanted - pairs) / PACKETS_PER_RULE_SET));
    const result = await run(world, { seed, ruleSets, packetsPerRuleSet: PACKETS_PER_RULE_SET, stopAfter: 100 });
    pairs += result.pairs;
    undecided += result.undecided;
    for (const [question, count] of result.questions) questions.set(question, (questions.get(question) ?? 0) + count);
    for (const { text } of result.disagreements) console.info(`${name}: ${text}\n`);
    disagreements += result.disagreements.length;
    process.stderr.write(`${name}: ${pairs} of ${Math.round(wanted)} pairs, ${disagreements} disagreements\n`);
  }
  console.info(`${name}: ${pairs} pairs, ${((100 * undecided) / pairs).toFixed(1)} % of them undecided:`);
  for (const [question, count] of [...questions].sort(([, a], [, b]) => b - a).slice(0, 12))
    console.info(`  ${((100 * count) / pairs).toFixed(2)} % ${question}`);
}
console.info(`${disagreements} disagreements`);
process.exitCode = disagreements > 0 ? 1 : 0;
