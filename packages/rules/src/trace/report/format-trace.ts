import { type Family, familyOf, visible } from "@svcproxy/topology";
import { isNftRule } from "../../hooks/any-rule.ts";
import { complement, type Fraction, formatFraction, isZero, toNumber } from "../packet/fraction.ts";
import type { TraceRequest } from "../packet/request.ts";
import type { Trace, TracedBranch } from "../trace-packet.ts";
import type { Share } from "../walk/intended-share.ts";
import type { PossibleOutcome } from "../walk/resolve-branches.ts";
import { describeUnservedPort } from "../walk/unserved-port.ts";
import type { MissedRule, WalkEvent } from "../walk/walk-state.ts";
import {
  describeChanges,
  describeEnd,
  describeRuleAnswer,
  formatAnyMatch,
  formatAnyRule,
  formatChance,
  formatEnd,
  formatMark,
  HOOK_MEANINGS,
} from "./describe-event.ts";
import { describeLastMark, describeOutcome } from "./describe-outcome.ts";
import { toldEventsOf } from "./told-events.ts";
import { describeGiven, describeQuestion, formatShare } from "./trace-json.ts";
import { wrap } from "./wrap.ts";

export interface TraceFormat {
  /** Whose rules they are, for the first line. */
  readonly hostName?: string;
  /** How many branches are told step by step; the others in a line each. Default 4. */
  readonly detailed?: number;
  /** How many branches are listed at all. Default 20. */
  readonly listed?: number;
}

/** A trace for people, 80 columns wide: what may happen, then how each branch comes about, rule by rule. */
export function formatTrace(trace: Trace, { hostName, detailed = 4, listed = 20 }: TraceFormat = {}): string {
  const family = familyOf(trace.entry.packet.source);
  const told = trace.branches.slice(0, detailed);
  const events = told.map((branch) => toldEventsOf(pastOf(branch)));
  const common = told.length < 2 ? 0 : commonLength(events);
  const lines = [
    ...headline(trace, hostName),
    "",
    ...summary(trace.branches, { listed, family }),
    ...(common > 0 ? ["", "All of them begin so:", ...eventLines((events[0] ?? []).slice(0, common), family)] : []),
  ];
  for (const [index, branch] of told.entries()) {
    lines.push("", branchTitle(branch, { index, count: trace.branches.length }));
    // More lines than there may be arguments.
    for (const line of eventLines((events[index] ?? []).slice(common), family)) lines.push(line);
    lines.push(...ending(branch, family));
  }
  const untold = trace.branches.length - told.length;
  if (untold > 0)
    lines.push(
      "",
      `… ${plural(untold, "more branch", "more branches")} of the same kind; --all tells each step by step`,
    );
  return `${lines.join("\n")}\n`;
}

function headline({ request, entry, unserved }: Trace, hostName: string | undefined): readonly string[] {
  const { packet } = entry;
  const what =
    (request.state ?? "NEW") === "NEW"
      ? `The first packet of a new ${packet.protocol.toUpperCase()} connection`
      : `A ${packet.protocol.toUpperCase()} packet in state ${request.state}`;
  const from = describeEnd(
    packet.sourcePorts === undefined
      ? { address: packet.source }
      : { address: packet.source, ports: packet.sourcePorts },
  );
  const to = describeEnd(
    packet.destinationPorts === undefined
      ? { address: packet.destination }
      : { address: packet.destination, ports: packet.destinationPorts },
  );
  const mark = packet.mark === 0 ? "" : ` It carries mark ${formatMark(packet.mark)}.`;
  const on = hostName === undefined ? "" : `, on ${visible(hostName)}`;
  const wrongPort =
    unserved === undefined
      ? ""
      : ` ${visible(describeUnservedPort(unserved, { port: request.port, protocol: packet.protocol }))}`;
  return wrap(`${what} from ${from} to ${to}${on}. ${entry.told}${mark}${describeState(request)}${wrongPort}`, {
    indent: "",
  });
}

/** Why a packet that opens no connection meets no rule of the nat table. */
function describeState({ state = "NEW" }: TraceRequest): string {
  switch (state) {
    case "NEW":
    case "RELATED":
      return "";
    case "ESTABLISHED":
      return " Only a connection's first packet asks the nat table: this one is followed as part of a connection that was left as it was.";
    case "INVALID":
    case "UNTRACKED":
      return " It belongs to no connection, so the nat table is not asked.";
  }
}

function summary(
  branches: readonly TracedBranch[],
  { listed, family }: { listed: number; family: Family },
): readonly string[] {
  const shown = branches.slice(0, listed);
  const lines = shown.flatMap((branch) => {
    const chance = `${percentage(branch.probability)}`.padStart(9);
    return wrap(`${describeBranch(branch, family)}`, { indent: " ".repeat(11), first: `${chance}  ` });
  });
  return branches.length === shown.length
    ? lines
    : [...lines, `           … and ${branches.length - shown.length} more`];
}

function describeBranch(branch: TracedBranch, family: Family): string {
  if (branch.kind === "undecided") return `not decided: ${describeQuestion(branch.question, family)}`;
  const { outcome } = branch;
  const share = branch.share === undefined ? "" : `; ${describeMeantShare(branch.share)}`;
  const what = outcome.verdict === "refused" ? "refusal" : "answer";
  const back =
    branch.reply?.returns === false
      ? `; NO ${what.toUpperCase()} COMES BACK`
      : branch.reply !== undefined && branch.reply.returns === undefined
        ? `; the ${what} may be lost`
        : "";
  return `${describeOutcome(outcome)}${share}${back}`;
}

function describeMeantShare(share: Share): string {
  return share.numerator === 0 ? "this is not meant to happen" : `meant to be ${formatShare(share)}`;
}

function percentage(probability: Fraction): string {
  if (isZero(probability)) return "0 %";
  const value = toNumber(probability) * 100;
  return `${value >= 99.9995 && probability.bits > 0 ? "> 99.999" : value < 0.001 ? "< 0.001" : Number(value.toFixed(3))} %`;
}

/** Fractions that nobody can read are not shown; --json has them. */
function exact(probability: Fraction): string {
  const text = formatFraction(probability);
  return text.length > 30 ? "" : ` (exactly ${text})`;
}

function branchTitle(branch: TracedBranch, { index, count }: { index: number; count: number }): string {
  const name = count === 1 ? "Step by step" : `Branch ${index + 1} of ${count}`;
  return `${name}: ${percentage(branch.probability)}${exact(branch.probability)}`;
}

function pastOf(branch: TracedBranch) {
  return branch.kind === "undecided" ? branch.question.past : branch.ended.state.past;
}

function commonLength(ways: readonly (readonly WalkEvent[])[]): number {
  const [first = [], ...others] = ways;
  const index = first.findIndex((event, at) => others.some((way) => way[at] !== event));
  return index < 0 ? first.length : index;
}

/** Hooks at which no rule was asked are passed over; `margin` stands ahead of every line. */
function eventLines(events: readonly WalkEvent[], family: Family, margin = ""): readonly string[] {
  const lines: string[] = [];
  let pendingHook: string | undefined;
  let place = "";
  for (const event of events) {
    if (event.kind === "hook") {
      pendingHook = `${margin}  ${event.hook}: ${HOOK_MEANINGS[event.hook]}`;
      place = "";
      continue;
    }
    if (event.kind === "note" || event.kind === "translatedBack") {
      lines.push(...wrap(`${capital(event.text)}.`, { indent: `${margin}  ` }));
      continue;
    }
    if (pendingHook !== undefined) {
      lines.push(pendingHook);
      pendingHook = undefined;
    }
    const here = `${event.table} ${event.chain}`;
    const indent = `${margin}${" ".repeat(4 + 2 * event.depth)}`;
    if (here !== place && event.kind !== "chainEnd") lines.push(`${indent}${visible(here)}`);
    // A chain in which nothing was asked leaves no trace to come back from.
    if (event.kind !== "chainEnd") place = here;
    lines.push(...ruleLines(event, { indent: `${indent}  `, family }));
  }
  return lines;
}

function ruleLines(
  event: Exclude<WalkEvent, { readonly kind: "hook" | "note" | "translatedBack" }>,
  { indent, family }: { indent: string; family: Family },
): readonly string[] {
  switch (event.kind) {
    case "chainEnd":
      return event.policy === undefined ? [] : [`${indent}end of the chain: its policy is ${event.policy}`];
    case "misses": {
      const count = event.last - event.first + 1;
      if (event.rules.length < count) return [`${indent}${foldedMisses(event)}`];
      return event.rules.flatMap((missed) => missedLines(missed, { indent, family }));
    }
    case "rule": {
      const answer = event.outcome.kind === "matched" || event.outcome.kind === "chance" ? "yes" : "?  ";
      const body = `${indent}        `;
      const why =
        event.outcome.kind === "matched"
          ? []
          : "because" in event.outcome
            ? [`${describeRuleAnswer(event)}: ${event.outcome.because}`]
            : [describeRuleAnswer(event)];
      return [
        ...wrap(formatAnyRule(event.rule, family) || "(only counts)", {
          first: `${indent}${event.number}. ${answer}  `,
          indent: body,
        }),
        ...[...why, ...describeChanges(event)].flatMap((text) =>
          wrap(text, { first: `${body}> `, indent: `${body}  ` }),
        ),
      ];
    }
  }
}

function foldedMisses({ first, last, chain, byChance }: Extract<WalkEvent, { readonly kind: "misses" }>): string {
  const count = last - first + 1;
  const what = byChance === 0 ? "did not match" : byChance === count ? "did not take it, by chance" : "did not take it";
  return `… ${thousands(count)} rules of ${visible(chain)} ${what}`;
}

function missedLines(
  { number, rule, failed, lost }: MissedRule,
  { indent, family }: { indent: string; family: Family },
): readonly string[] {
  const body = `${indent}        `;
  const why =
    lost !== undefined
      ? [`no, by a chance of ${formatChance(complement(lost))}`]
      : (isNftRule(rule) ? rule.statements : rule.matches).length > 1
        ? [`not so: ${formatAnyMatch(failed, family)}`]
        : [];
  return [
    ...wrap(formatAnyRule(rule, family), { first: `${indent}${number}. no   `, indent: body }),
    ...why.flatMap((text) => wrap(text, { first: `${body}> `, indent: `${body}  ` })),
  ];
}

function ending(branch: TracedBranch, family: Family): readonly string[] {
  if (branch.kind === "undecided") {
    return [
      ...wrap(`Not decided: ${describeQuestion(branch.question, family)}.`, { indent: "  " }),
      "  It may come to one of these:",
      ...branch.possible.slice(0, 10).flatMap(({ outcome, given }) =>
        wrap(`${describeOutcome(outcome)}${describeLastMark(outcome)}, if ${describeGiven(given)}`, {
          first: "  - ",
          indent: "    ",
        }),
      ),
      ...(branch.possible.length > 10 ? [`  … and ${branch.possible.length - 10} more`] : []),
      ...(differInMarkAlone(branch.possible)
        ? ["  Whichever it is, packets arrive alike: they differ in the mark alone."]
        : []),
    ];
  }
  const { reply, missed } = branch;
  const end = [
    ...wrap(
      `So it is ${describeOutcome(branch.outcome)}${branch.outcome.verdict === "accepted" ? `, ${branch.outcome.because}` : ""}.`,
      { indent: "  " },
    ),
    ...(missed === undefined
      ? []
      : wrap(
          `BUT who dials ${formatEnd(branch.outcome.destination)} straight is sent to ${formatEnd(missed)} by another rule, which this packet does not meet: a packet is translated once. If nobody else listens there, it is refused.`,
          { indent: "  " },
        )),
  ];
  if (reply === undefined) return end;
  const what = branch.outcome.verdict === "refused" ? "refusal" : "answer";
  const verdict =
    reply.returns === true
      ? `The ${what}`
      : reply.returns === false
        ? `NO ${what.toUpperCase()}`
        : `The ${what}, perhaps`;
  return [
    ...end,
    ...wrap(`${verdict}: ${reply.because}.`, { indent: "  " }),
    ...replyLines(toldEventsOf(reply.past), family),
  ];
}

/** An answer's way is told where a rule was asked on it. */
function replyLines(events: readonly WalkEvent[], family: Family): readonly string[] {
  const asked = events.some((event) => event.kind === "rule" || event.kind === "misses");
  return asked ? eventLines(events, family, "  ") : [];
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function thousands(count: number): string {
  return count.toLocaleString("en-US");
}

function plural(count: number, one: string, many: string): string {
  return count === 1 ? `1 ${one}` : `${thousands(count)} ${many}`;
}

/** Whether each answer leads to the same ends, but for the mark that packets leave with. */
function differInMarkAlone(possible: readonly PossibleOutcome[]): boolean {
  const byAnswer = Map.groupBy(possible, ({ given }) => given.answer);
  const ends = Array.from(byAnswer.values(), (ways) =>
    [...new Set(ways.map(({ outcome }) => describeOutcome(outcome)))].sort().join("\n"),
  );
  return byAnswer.size > 1 && new Set(ends).size === 1;
}
