/**
 * A program of its own, for tests that kill it or run two of it: carries out the plans of a random cluster in this network namespace.
 *
 *     node apply-program.ts SEED FROM TO
 *
 * It begins with the plan of step FROM, whatever is there, and goes on to step TO. Before each it prints `begin STEP`, and `done` at the
 * end.
 */
import process from "node:process";
import { NftablesDataPath } from "../data-path/nftables-data-path.ts";
import { planAfter, randomPlans } from "./random-plans.ts";

const [seed, from, to] = process.argv.slice(2).map(Number);
if (seed === undefined || from === undefined || to === undefined) throw new TypeError("SEED FROM TO");
const { signal } = new AbortController();
const say = (text: string) => new Promise((resolve) => process.stdout.write(`${text}\n`, resolve));
await using session = await new NftablesDataPath().open(signal);
await say(`begin ${from}`);
const plans = randomPlans(seed);
await session.apply(planAfter(plans, from));
for (let step = from + 1; step <= to; step++) {
  const { plan, changed } = plans.next();
  await say(`begin ${step}`);
  await session.apply(plan, changed === undefined ? {} : { changed });
}
await say("done");
