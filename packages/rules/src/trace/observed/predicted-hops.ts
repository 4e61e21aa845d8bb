import { type Family, familyOf } from "@svcproxy/topology";
import type { Hook } from "../../rule-set.ts";
import { eventsOf, formatAnyRule } from "../report/describe-event.ts";
import type { TracedBranch } from "../trace-packet.ts";
import type { RuleEvent, WalkEvent } from "../walk/walk-state.ts";
import type { Hop } from "./observed-hops.ts";

export interface PredictedHop {
  readonly hop: Hop;
  /** Whether it may as well not match: it makes no difference to the packet's way. */
  readonly isOptional: boolean;
}

/**
 * The rules that a branch expects to match, in order.
 *
 * @param legacyTables of which the kernel tells nothing
 */
export function predictedHops(branch: TracedBranch, legacyTables: ReadonlySet<string>): readonly PredictedHop[] {
  const past = branch.kind === "undecided" ? branch.question.past : branch.ended.state.past;
  const family = familyOf(
    branch.kind === "undecided" ? branch.question.packet.source : branch.ended.state.packet.source,
  );
  let hook: Hook | undefined;
  return eventsOf(past).flatMap((event) => {
    if (event.kind === "hook") hook = event.hook;
    return "table" in event && legacyTables.has(event.table) ? [] : hopsOf(event, { hook, family });
  });
}

function hopsOf(
  event: WalkEvent,
  { hook, family }: { readonly hook: Hook | undefined; readonly family: Family },
): readonly PredictedHop[] {
  if (event.kind === "chainEnd" && event.policy === "DROP") {
    const { table, chain } = event;
    return [{ hop: { kind: "policy", hook, table, chain }, isOptional: false }];
  }
  if (event.kind !== "rule" || isMissed(event)) return [];
  const { table, chain, number, depth, rule, outcome } = event;
  const text = formatAnyRule(rule, family);
  return [
    {
      hop: { kind: "rule", hook, table, chain, number, depth, text, verdict: "" },
      isOptional: outcome.kind === "immaterial",
    },
  ];
}

function isMissed({ outcome }: RuleEvent): boolean {
  return outcome.kind === "assumed" && !outcome.took;
}
