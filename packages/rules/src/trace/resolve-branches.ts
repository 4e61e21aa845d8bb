import { add, compareFractions, type Fraction, formatFraction } from "./fraction.ts";
import { type Outcome, outcomeKey, outcomeOf } from "./outcome.ts";
import type { Assumption, Ended, Question } from "./walk-state.ts";

/** A branch of a trace: an outcome with its exact probability, or a question that nobody can answer. */
export type ResolvedBranch =
  | { readonly kind: "decided"; readonly probability: Fraction; readonly outcome: Outcome; readonly ended: Ended }
  | {
      readonly kind: "undecided";
      /** Of the question coming up. */
      readonly probability: Fraction;
      readonly question: Question;
      /** The different outcomes that it may have, whatever the answers. */
      readonly possible: readonly PossibleOutcome[];
    };

export interface PossibleOutcome {
  readonly outcome: Outcome;
  /** The last answer that leads here. */
  readonly given: { readonly question: Question; readonly answer: number };
}

/**
 * Folds the ends of all ways into branches: equal outcomes become one, and a question whose answers all lead to the same
 * is none. The probabilities of the result add up to those of the ends.
 */
export function resolveBranches(ends: readonly Ended[]): readonly ResolvedBranch[] {
  const leaves = ends.map((ended): Leaf => ({ ended, outcome: outcomeOf(ended), path: answersOf(ended) }));
  const branches = resolve(leaves, 0, { ids: new Map() });
  return [...branches].sort((a, b) => compareFractions(b.probability, a.probability));
}

interface Leaf {
  readonly ended: Ended;
  readonly outcome: Outcome;
  /** The answers assumed, the earliest first. */
  readonly path: readonly Assumption[];
}

/** Short names for distributions, so that comparing nested ones stays cheap. */
interface Interning {
  readonly ids: Map<string, number>;
}

function answersOf({ state }: Ended): readonly Assumption[] {
  const path: Assumption[] = [];
  for (let node = state.assumptions; node !== undefined; node = node.earlier) path.push(node);
  return path.reverse();
}

function resolve(leaves: readonly Leaf[], depth: number, interning: Interning): readonly ResolvedBranch[] {
  const decided: Leaf[] = [];
  const asked = new Map<Question, Leaf[]>();
  for (const leaf of leaves) {
    const question = leaf.path[depth]?.question;
    if (question === undefined) decided.push(leaf);
    else asked.set(question, [...(asked.get(question) ?? []), leaf]);
  }
  const branches = [...mergeOutcomes(decided)];
  for (const [question, ofQuestion] of asked) branches.push(...resolveQuestion(question, ofQuestion, depth, interning));
  return mergeBranches(branches);
}

function mergeOutcomes(leaves: readonly Leaf[]): readonly ResolvedBranch[] {
  return leaves.map(({ ended, outcome }) => ({
    kind: "decided",
    probability: ended.state.probability,
    outcome,
    ended,
  }));
}

function resolveQuestion(
  question: Question,
  leaves: readonly Leaf[],
  depth: number,
  interning: Interning,
): readonly ResolvedBranch[] {
  const answers = Array.from({ length: question.answers }, (_, answer) =>
    resolve(
      leaves.filter((leaf) => leaf.path[depth]?.answer === answer),
      depth + 1,
      interning,
    ),
  );
  const names = new Set(answers.map((branches) => distributionName(branches, interning)));
  // Whatever the answer, the same follows: the question makes no difference. The last answer tells it with the least.
  if (names.size === 1) return answers.at(-1) ?? [];
  const possible = answers.flatMap((branches, answer) =>
    branches.flatMap((branch): readonly PossibleOutcome[] =>
      branch.kind === "decided" ? [{ outcome: branch.outcome, given: { question, answer } }] : branch.possible,
    ),
  );
  return [{ kind: "undecided", probability: question.reached, question, possible: distinct(possible) }];
}

function distinct(possible: readonly PossibleOutcome[]): readonly PossibleOutcome[] {
  const byKey = new Map<string, PossibleOutcome>();
  for (const one of possible) {
    const key = outcomeKey(one.outcome);
    if (!byKey.has(key)) byKey.set(key, one);
  }
  return [...byKey.values()];
}

function distributionName(branches: readonly ResolvedBranch[], { ids }: Interning): number {
  const text = branches
    .map((branch) => `${branchKey(branch, ids)} ${formatFraction(branch.probability)}`)
    .sort()
    .join("\n");
  return idOf(text, ids);
}

function idOf(text: string, ids: Map<string, number>): number {
  const known = ids.get(text);
  if (known !== undefined) return known;
  ids.set(text, ids.size);
  return ids.size - 1;
}

function branchKey(branch: ResolvedBranch, ids: Map<string, number>): string {
  if (branch.kind === "decided") return outcomeKey(branch.outcome);
  return `? ${idOf(branch.possible.map(({ outcome }) => outcomeKey(outcome)).join("\n"), ids)}`;
}

/** Branches with equal outcomes, or that hang on the same match of the same rule, become one. */
function mergeBranches(branches: readonly ResolvedBranch[]): readonly ResolvedBranch[] {
  const merged = new Map<string, ResolvedBranch>();
  for (const branch of branches) {
    const key = branch.kind === "decided" ? outcomeKey(branch.outcome) : questionKey(branch.question);
    const other = merged.get(key);
    merged.set(key, other === undefined ? branch : mergePair(other, branch));
  }
  return [...merged.values()];
}

function questionKey({ position, match, because }: Question): string {
  return `? ${JSON.stringify([position, match, because])}`;
}

function mergePair(a: ResolvedBranch, b: ResolvedBranch): ResolvedBranch {
  const [likelier, other] = compareFractions(b.probability, a.probability) > 0 ? [b, a] : [a, b];
  const probability = add(a.probability, b.probability);
  if (likelier.kind === "decided" || other.kind === "decided") return { ...likelier, probability };
  return { ...likelier, probability, possible: distinct([...likelier.possible, ...other.possible]) };
}
