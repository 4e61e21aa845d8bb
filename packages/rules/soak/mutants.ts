/**
 * The long version of the mutants' test: rules that keep every promise are changed in one thing, loaded in namespaces, and
 * attacked with traffic, which decides what the prover must have said. Needs root. Exit code 1 where it missed a change or
 * cried wolf; both are printed as they are found.
 *
 *     node soak/mutants.ts [--mutants N, of each subject] [--seed N] [SUBJECT…]
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { createMutantWorld, judgeMutants } from "../src/testing/mutants/judge-mutants.ts";
import { mutantSubjects } from "../src/testing/mutants/mutant-subject.ts";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    mutants: { type: "string", default: "90" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
  },
});
const mutants = Number(flags.mutants);

await using world = await createMutantWorld();
const total = { held: 0, broken: 0, byCounterExample: 0, unsendable: 0, undecided: 0 };
let faults = 0;
console.info(`seed ${flags.seed}, ${mutants} mutants of each subject`);
for (const subject of mutantSubjects()) {
  if (positionals.length > 0 && !positionals.includes(subject.name)) continue;
  let counted = 0;
  const { counts, missed, criedWolf } = await judgeMutants(world, subject, {
    seed: Number(flags.seed),
    mutants,
    onMutant: () => process.stderr.write(`${subject.name}: ${++counted} of ${mutants}\n`),
    onFault: (text) => console.info(`${text}\n`),
  });
  console.info(`${subject.name}: ${JSON.stringify(counts)}, ${missed.length} missed, ${criedWolf.length} cried wolf`);
  faults += missed.length + criedWolf.length;
  for (const key of ["held", "broken", "byCounterExample", "unsendable", "undecided"] as const)
    total[key] += counts[key];
}
const all = total.held + total.broken + total.undecided;
console.info(`${all} mutants: ${JSON.stringify(total)}, ${((100 * total.undecided) / all).toFixed(1)} % undecided`);
console.info(`${faults} missed or cried wolf`);
process.exitCode = faults > 0 ? 1 : 0;
