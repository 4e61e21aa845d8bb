import type { PlacedRule } from "../../hooks/any-rule.ts";
import type { ClaimNumber, Finding } from "../report/proof.ts";
import { hasMember, intersect } from "../space/index-set.ts";
import type { Region } from "../space/region.ts";
import type { SymbolicEnding, SymbolicState } from "../walk/symbolic-state.ts";
import type { CheckContext, Promised } from "./check-context.ts";
import { openQuestion } from "./open-questions.ts";

interface Fault {
  readonly claim: ClaimNumber;
  readonly message: string;
  readonly placed?: PlacedRule | undefined;
  readonly source?: number;
  /** What must not get through, whoever sends it. */
  readonly isForbidden?: true;
}

/**
 * Reports a fault of the packets of a state; where it hangs on an answer that nobody knows, as undecided. What a foreign rule
 * does to packets to which nothing is promised is not a fault.
 */
export function report(check: CheckContext, promise: Promised, state: SymbolicState, fault: Fault): void {
  const { findings, isOwn } = check;
  const foreign = fault.placed !== undefined && !isOwn(fault.placed) ? fault.placed : undefined;
  const isPolicy = fault.placed === undefined && fault.message.includes("the policy of ");
  const isOthers = (foreign !== undefined || isPolicy) && fault.isForbidden !== true;
  const region = isOthers ? ofPromised(check, promise, state.region) : state.region;
  if (region === undefined) return;
  const source = fault.source !== undefined && hasMember(region.source, fault.source) ? { source: fault.source } : {};
  const finding: Finding = {
    packet: check.examples.of(region, source),
    message: fault.message,
    frontend: promise.frontend.name,
    ...(fault.placed === undefined ? {} : { placed: fault.placed }),
  };
  const open = openQuestion(state.assumptions, check.isOwnList);
  if (open !== undefined) {
    const message = `${fault.message}, if \`${open.question.text}\` ${open.holds ? "holds" : "does not hold"}`;
    const { placed } = open.question;
    findings.undecided(fault.claim, { ...finding, message, placed });
    if (!isOwn(placed)) findings.undecided(6, { ...finding, message, placed });
    return;
  }
  findings.broken(fault.claim, finding);
  if (foreign !== undefined) findings.broken(6, { ...finding, placed: foreign });
  else if (isPolicy) findings.broken(6, finding);
}

/** Reports that nobody can say what becomes of a state's packets; where rules of others are why, whether they defeat the promise is open too. */
export function reportUndecided(
  { findings, examples, isOwn }: CheckContext,
  promise: Promised,
  {
    claim,
    state,
    ending: { because, placed, isUnread },
  }: {
    readonly claim: ClaimNumber;
    readonly state: SymbolicState;
    readonly ending: Extract<SymbolicEnding, { kind: "undecided" }>;
  },
): void {
  const finding: Finding = {
    packet: examples.of(state.region),
    message: because,
    frontend: promise.frontend.name,
    ...(placed === undefined ? {} : { placed }),
  };
  findings.undecided(claim, finding);
  if (isUnread === true || (placed !== undefined && !isOwn(placed))) findings.undecided(6, finding);
}

/** The packets to which something is promised; undefined where there are none. */
export function ofPromised(
  { promised }: CheckContext,
  { client, frontend }: Promised,
  region: Region,
): Region | undefined {
  const source = intersect(region.source, promised.of(client, frontend.frontend.kind === "clusterIP"));
  return source.length === 0 ? undefined : { ...region, source };
}
