import type { PlacedRule } from "../../rule-set.ts";
import type { ClaimNumber, Finding } from "../report/proof.ts";
import type { SymbolicState } from "../walk/symbolic-state.ts";
import type { CheckContext, Promised } from "./check-context.ts";
import { openQuestion } from "./open-questions.ts";

interface Fault {
  readonly claim: ClaimNumber;
  readonly message: string;
  readonly placed?: PlacedRule | undefined;
  readonly source?: number;
}

/** Reports a fault of the packets of a state; where it hangs on an answer that nobody knows, as undecided. */
export function report(check: CheckContext, promise: Promised, state: SymbolicState, fault: Fault): void {
  const { findings, isOwn } = check;
  const finding: Finding = {
    packet: check.examples.of(state.region, fault.source === undefined ? {} : { source: fault.source }),
    message: fault.message,
    frontend: promise.frontend.name,
    ...(fault.placed === undefined ? {} : { placed: fault.placed }),
  };
  const open = openQuestion(state.assumptions);
  if (open !== undefined) {
    const message = `${fault.message}, if \`${open.question.text}\` ${open.holds ? "holds" : "does not hold"}`;
    const { placed } = open.question;
    findings.undecided(fault.claim, { ...finding, message, placed });
    if (!isOwn(placed)) findings.undecided(6, { ...finding, message, placed });
    return;
  }
  findings.broken(fault.claim, finding);
  const foreign = fault.placed !== undefined && !isOwn(fault.placed) ? fault.placed : undefined;
  if (foreign !== undefined) findings.broken(6, { ...finding, placed: foreign });
  else if (fault.message.includes("the policy of ")) findings.broken(6, finding);
}
