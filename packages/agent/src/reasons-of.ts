import type { Problem } from "@svcproxy/topology";

/** Why something is not taken: faults of a text come with its warnings, in the order of the text, and those are not why. */
export function reasonsOf(problems: readonly Problem[]): readonly Problem[] {
  const errors = problems.filter(({ severity }) => severity === "error");
  return errors.length > 0 ? errors : problems;
}
