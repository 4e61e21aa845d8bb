import { type Family, familyOf } from "@svcproxy/topology";
import type { Hook } from "../../rule-set.ts";
import { complement, type Fraction, formatFraction, toNumber } from "../packet/fraction.ts";
import type { PacketView } from "../packet/packet-view.ts";
import type { Trace, TracedBranch } from "../trace-packet.ts";
import type { Outcome, Verdict } from "../walk/outcome.ts";
import type { Given } from "../walk/resolve-branches.ts";
import type { Question, WalkEvent } from "../walk/walk-state.ts";
import {
  describeChanges,
  describeRuleAnswer,
  formatAnyMatch,
  formatAnyRule,
  formatChance,
  formatEnd,
  formatMark,
} from "./describe-event.ts";
import { toldEventsOf } from "./told-events.ts";

/** An exact number: the fraction, and the nearest double. */
export interface JsonFraction {
  readonly fraction: string;
  readonly value: number;
}

/** A trace as `svcproxy trace --json` prints it; addresses are `ip:port`, and what does not apply is null. */
export interface TraceJson {
  readonly packet: Readonly<Record<string, unknown>>;
  /** Where a VIP is dialled on a port that none of its services has. */
  readonly wrongPort?: { readonly services: readonly string[]; readonly ports: readonly string[] };
  readonly branches: readonly BranchJson[];
}

/** One thing that happened on the way, in its order. */
export type StepJson =
  | {
      readonly kind: "hook";
      readonly hook: Hook;
      readonly source: string;
      readonly destination: string;
      readonly mark: string;
      readonly in: string | null;
      readonly out: string | null;
    }
  | { readonly kind: "note"; readonly text: string }
  | {
      readonly kind: "misses";
      readonly table: string;
      readonly chain: string;
      readonly first: number;
      readonly last: number;
      readonly count: number;
      readonly byChance: number;
    }
  | {
      readonly kind: "chainEnd";
      readonly table: string;
      readonly chain: string;
      readonly policy?: "ACCEPT" | "DROP";
    }
  | {
      readonly kind: "rule";
      readonly table: string;
      readonly chain: string;
      /** 1-based place in the chain. */
      readonly number: number;
      readonly rule: string;
      readonly matched: boolean;
      readonly answer: string;
      /** The match that decided. */
      readonly by?: string;
      readonly because?: string;
      /** What of the packet the rule changed, a sentence each. */
      readonly changes?: readonly string[];
    };

export interface BranchJson {
  /** What the loaded rules give. */
  readonly probability: JsonFraction;
  /** What the plan intends. */
  readonly share: JsonFraction | null;
  readonly verdict: Verdict;
  readonly destination: string | null;
  readonly source: string | null;
  readonly masqueraded: boolean | null;
  readonly endpoint: string | null;
  readonly because: string;
  readonly undecidedBy: string | null;
  /** What an undecided branch may come to. */
  readonly possible?: readonly PossibleJson[];
  readonly steps: readonly StepJson[];
  readonly reply: ReplyJson | null;
  /** Where another rule sends who dials the endpoint straight: this packet, translated once, does not meet it. */
  readonly missedTranslation?: string;
}

export interface PossibleJson {
  readonly given: string;
  readonly verdict: Verdict;
  readonly destination: string;
  readonly source: string;
  readonly masqueraded: boolean;
  readonly endpoint: string | null;
  readonly because: string;
  /** What it carries when it leaves: an outcome may differ in nothing else. */
  readonly mark: string;
}

export interface ReplyJson {
  /** Null: that hangs on something beyond what is known of the host. */
  readonly returns: boolean | null;
  readonly because: string;
  readonly steps: readonly StepJson[];
}

/** A trace as `svcproxy trace --json` prints it: its fields may become more, and none changes its meaning. */
export function traceToJson({ request, entry, branches, unserved }: Trace): TraceJson {
  const { packet } = entry;
  const family = familyOf(packet.source);
  return {
    packet: {
      from: formatEnd(sourceOf(packet)),
      to: formatEnd(destinationOf(packet)),
      protocol: packet.protocol,
      state: request.state ?? "NEW",
      mark: formatMark(packet.mark),
      inInterface: packet.inInterface ?? null,
      ...(packet.sourcePorts !== undefined && packet.sourcePorts.from !== packet.sourcePorts.to
        ? { sourcePorts: `${packet.sourcePorts.from}-${packet.sourcePorts.to}` }
        : {}),
    },
    ...(unserved === undefined
      ? {}
      : {
          wrongPort: {
            services: unserved.services,
            ports: unserved.ports.map(({ port, protocol }) => `${port}/${protocol}`),
          },
        }),
    branches: branches.map((branch) => branchToJson(branch, family)),
  };
}

function sourceOf({ source, sourcePorts }: PacketView) {
  return sourcePorts === undefined ? { address: source } : { address: source, ports: sourcePorts };
}

function destinationOf({ destination, destinationPorts }: PacketView) {
  return destinationPorts === undefined ? { address: destination } : { address: destination, ports: destinationPorts };
}

function branchToJson(branch: TracedBranch, family: Family): BranchJson {
  const probability = fractionToJson(branch.probability);
  if (branch.kind === "undecided") {
    const { question } = branch;
    return {
      probability,
      share: null,
      verdict: "undecided",
      destination: null,
      source: null,
      masqueraded: null,
      endpoint: null,
      because: question.because,
      undecidedBy: describeQuestion(question, family),
      possible: branch.possible.map(({ outcome, given }) => ({
        given: describeGiven(given),
        ...outcomeToJson(outcome),
        mark: formatMark(outcome.mark),
      })),
      steps: stepsToJson(toldEventsOf(question.past), family),
      reply: null,
    };
  }
  const { outcome, share, reply, missed } = branch;
  return {
    probability,
    share: share === undefined ? null : { fraction: formatShare(share), value: share.numerator / share.denominator },
    ...outcomeToJson(outcome),
    undecidedBy: outcome.verdict === "undecided" ? outcome.because : null,
    steps: stepsToJson(toldEventsOf(branch.ended.state.past), family),
    reply:
      reply === undefined
        ? null
        : {
            returns: reply.returns ?? null,
            because: reply.because,
            steps: stepsToJson(toldEventsOf(reply.past), family),
          },
    ...(missed === undefined ? {} : { missedTranslation: formatEnd(missed) }),
  };
}

/** `1/3`, or `1`. */
export function formatShare({ numerator, denominator }: { numerator: number; denominator: number }): string {
  return denominator === 1 ? String(numerator) : `${numerator}/${denominator}`;
}

function outcomeToJson(outcome: Outcome) {
  return {
    verdict: outcome.verdict,
    destination: formatEnd(outcome.destination),
    source: formatEnd(outcome.source),
    masqueraded: outcome.masqueraded,
    endpoint: outcome.endpoint === undefined ? null : formatEnd(outcome.endpoint),
    because: outcome.because,
  };
}

/** `rule 3 of filter FORWARD: -m time … is not understood`. */
export function describeQuestion({ position, match, because }: Question, family: Family): string {
  if (position === undefined) return because;
  const text = match === undefined ? "" : formatAnyMatch(match, family);
  // What is not understood is quoted in the reason.
  const condition = text === "" || because.includes(text) ? "" : `${text}: `;
  return `rule ${position.number} of ${position.table} ${position.chain}: ${condition}${because}`;
}

/** More answers than this are not told one by one. */
const MOST_ANSWERS = 4;

/** `rule 1 of raw PREROUTING does not match, and rule 1 of filter FORWARD matches`; of a long way, its end. */
export function describeGiven(given: Given): string {
  const answers: string[] = [];
  for (let node: Given | undefined = given; node !== undefined; node = node.later) answers.push(describeAnswer(node));
  const untold = answers.length - MOST_ANSWERS;
  return [...(untold > 0 ? [`${untold} answers before`] : []), ...answers.slice(-MOST_ANSWERS)].join(", and ");
}

function describeAnswer({ question: { position, match, because, orders }, answer }: Given): string {
  if (position === undefined) return orders?.[answer] ?? because;
  const place = `rule ${position.number} of ${position.table} ${position.chain}`;
  if (match === undefined) return `${place} takes its choice ${answer + 1}`;
  return answer === 0 ? `${place} matches` : `${place} does not match`;
}

function fractionToJson(fraction: Fraction): JsonFraction {
  return { fraction: formatFraction(fraction), value: toNumber(fraction) };
}

function stepsToJson(events: readonly WalkEvent[], family: Family): readonly StepJson[] {
  return events.flatMap((event) => stepToJson(event, family));
}

function stepToJson(event: WalkEvent, family: Family): readonly StepJson[] {
  switch (event.kind) {
    case "hook":
      return [{ kind: "hook", hook: event.hook, ...packetToJson(event.packet) }];
    case "note":
    case "translatedBack":
      return [{ kind: "note", text: event.text }];
    case "misses":
      return missesToJson(event, family);
    case "chainEnd":
      return [
        {
          kind: "chainEnd",
          table: event.table,
          chain: event.chain,
          ...(event.policy === undefined ? {} : { policy: event.policy }),
        },
      ];
    case "rule": {
      const changes = describeChanges(event);
      return [
        {
          kind: "rule",
          table: event.table,
          chain: event.chain,
          number: event.number,
          rule: formatAnyRule(event.rule, family),
          matched: event.outcome.kind === "matched" || event.outcome.kind === "chance",
          answer: describeRuleAnswer(event),
          ...(event.outcome.kind === "chance" ? { by: formatAnyMatch(event.outcome.match, family) } : {}),
          ...("because" in event.outcome ? { because: event.outcome.because } : {}),
          ...(changes.length === 0 ? {} : { changes }),
        },
      ];
    }
  }
}

function missesToJson(event: Extract<WalkEvent, { readonly kind: "misses" }>, family: Family): readonly StepJson[] {
  const count = event.last - event.first + 1;
  const place = { table: event.table, chain: event.chain };
  if (event.rules.length < count)
    return [{ kind: "misses", ...place, first: event.first, last: event.last, count, byChance: event.byChance }];
  return event.rules.map(({ number, rule, failed, lost }) => ({
    kind: "rule",
    ...place,
    number,
    rule: formatAnyRule(rule, family),
    matched: false,
    answer: lost === undefined ? "no" : `no, by a chance of ${formatChance(complement(lost))}`,
    by: formatAnyMatch(failed, family),
  }));
}

function packetToJson(packet: PacketView) {
  return {
    source: formatEnd(sourceOf(packet)),
    destination: formatEnd(destinationOf(packet)),
    mark: formatMark(packet.mark),
    in: packet.inInterface ?? null,
    out: packet.outInterface ?? null,
  };
}
