import { add, compareFractions, type Fraction } from "../packet/fraction.ts";
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
  /** The answers that lead here; one way of several, where more do. */
  readonly given: Given;
}

/** Answers to the questions of one way, the earliest first. */
export interface Given {
  readonly question: Question;
  readonly answer: number;
  readonly later?: Given;
}

/**
 * Folds the ends of all ways into branches: equal outcomes become one, and a question whose answers all lead to the same
 * is none. The probabilities of the result add up to those of the ends.
 */
export function resolveBranches(ends: readonly Ended[]): readonly ResolvedBranch[] {
  const leaves = ends.map((ended): Leaf => ({ ended, outcome: outcomeOf(ended), path: answersOf(ended) }));
  const branches = resolve(leaves, 0, new Interning());
  return [...branches].sort((a, b) => compareFractions(b.probability, a.probability));
}

interface Leaf {
  readonly ended: Ended;
  readonly outcome: Outcome;
  /** The answers assumed, the earliest first. */
  readonly path: readonly Assumption[];
}

/** Numbers for texts and outcomes, equal for equal ones: with a thousand questions in a row, texts would be compared for seconds. */
class Interning {
  private readonly ids = new Map<string, number>();
  private readonly outcomes = new WeakMap<Outcome, number>();

  idOf(text: string): number {
    const known = this.ids.get(text);
    if (known !== undefined) return known;
    this.ids.set(text, this.ids.size);
    return this.ids.size - 1;
  }

  ofOutcome(outcome: Outcome): number {
    const known = this.outcomes.get(outcome) ?? this.idOf(outcomeKey(outcome));
    this.outcomes.set(outcome, known);
    return known;
  }

  ofBranch(branch: ResolvedBranch): number {
    if (branch.kind === "decided") return this.ofOutcome(branch.outcome);
    return this.idOf(`? ${branch.possible.map(({ outcome }) => this.ofOutcome(outcome)).join(" ")}`);
  }

  ofDistribution(branches: readonly ResolvedBranch[]): number {
    const parts = branches.map((branch) => {
      const { numerator, bits } = branch.probability;
      return `${this.ofBranch(branch)} ${numerator.toString(16)}/${bits}`;
    });
    return this.idOf(`= ${parts.sort().join("; ")}`);
  }
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
    else append(asked, question, leaf);
  }
  const branches = [...mergeOutcomes(decided)];
  for (const [question, ofQuestion] of asked) branches.push(...resolveQuestion(question, ofQuestion, depth, interning));
  return mergeBranches(branches, interning);
}

function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
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
  const names = new Set(answers.map((branches) => interning.ofDistribution(branches)));
  // Whatever the answer, the same follows: the question makes no difference. The last answer tells it with the least.
  if (names.size === 1) return answers.at(-1) ?? [];
  const possible = answers.flatMap((branches, answer) =>
    branches.flatMap((branch): readonly PossibleOutcome[] =>
      branch.kind === "decided"
        ? [{ outcome: branch.outcome, given: { question, answer } }]
        : branch.possible.map(({ outcome, given }) => ({ outcome, given: { question, answer, later: given } })),
    ),
  );
  return [{ kind: "undecided", probability: question.reached, question, possible: distinct(possible, interning) }];
}

function distinct(possible: readonly PossibleOutcome[], interning: Interning): readonly PossibleOutcome[] {
  const byKey = new Map<number, PossibleOutcome>();
  for (const one of possible) {
    const key = interning.ofOutcome(one.outcome);
    if (!byKey.has(key)) byKey.set(key, one);
  }
  return [...byKey.values()];
}

/** Branches with equal outcomes, or that hang on the same match of the same rule, become one. */
function mergeBranches(branches: readonly ResolvedBranch[], interning: Interning): readonly ResolvedBranch[] {
  const merged = new Map<number, ResolvedBranch>();
  for (const branch of branches) {
    const isDecided = branch.kind === "decided";
    const key = isDecided ? interning.ofOutcome(branch.outcome) : interning.idOf(questionKey(branch.question));
    const other = merged.get(key);
    merged.set(key, other === undefined ? branch : mergePair(other, branch, interning));
  }
  return [...merged.values()];
}

function questionKey({ position, match, because }: Question): string {
  return `? ${JSON.stringify([position, match, because])}`;
}

function mergePair(a: ResolvedBranch, b: ResolvedBranch, interning: Interning): ResolvedBranch {
  const [likelier, other] = compareFractions(b.probability, a.probability) > 0 ? [b, a] : [a, b];
  const probability = add(a.probability, b.probability);
  if (likelier.kind === "decided" || other.kind === "decided") return { ...likelier, probability };
  return { ...likelier, probability, possible: distinct([...likelier.possible, ...other.possible], interning) };
}
