import type { ProblemCode } from "@svcproxy/topology";
import { CAUSE_EXPLANATIONS } from "./cause-explanations.ts";
import { COMMAND_MEANINGS } from "./command-meanings.ts";
import type { Explanation, Meaning } from "./explanation.ts";
import { INPUT_MEANINGS } from "./input-meanings.ts";
import { MACHINE_MEANINGS } from "./machine-meanings.ts";
import { PLAN_MEANINGS } from "./plan-meanings.ts";

/** Of each code that a problem can have. */
export const EXPLANATIONS: Readonly<Record<ProblemCode, Meaning & Partial<Explanation>>> = {
  ...CAUSE_EXPLANATIONS,
  ...PLAN_MEANINGS,
  ...INPUT_MEANINGS,
  ...COMMAND_MEANINGS,
  ...MACHINE_MEANINGS,
};

/** Those of the doctor first. */
export const EXPLAINED_CODES: readonly ProblemCode[] = Object.keys(EXPLANATIONS).filter(isCode);

function isCode(text: string): text is ProblemCode {
  return text in EXPLANATIONS;
}
