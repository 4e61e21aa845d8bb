/** What became of the tests of one runner; or of several, joined. */
export interface TestOutcomes {
  readonly passed: number;
  /** Those whose last try failed, and what went wrong outside of tests. */
  readonly failed: readonly Fault[];
  /** Those that passed at their second try, with what the first one met. They are in `passed`, too. */
  readonly secondTry: readonly Fault[];
  /** Full names, with their reasons as far as the runner knows them. */
  readonly skipped: readonly string[];
}

export interface Fault {
  /** Full name: project or stage, file, groups, test. */
  readonly name: string;
  /** Plain text of any number of lines. */
  readonly message: string;
}

export const NO_OUTCOMES: TestOutcomes = { passed: 0, failed: [], secondTry: [], skipped: [] };

export function joinOutcomes(all: readonly TestOutcomes[]): TestOutcomes {
  return {
    passed: all.reduce((sum, { passed }) => sum + passed, 0),
    failed: all.flatMap(({ failed }) => failed),
    secondTry: all.flatMap(({ secondTry }) => secondTry),
    skipped: all.flatMap(({ skipped }) => skipped),
  };
}
