import type { NftRule, NftStatement } from "../../nft/nft-rule-set.ts";
import type { NftAskedAt } from "../../nft/trace/asked.ts";
import { runStatement } from "../../nft/trace/run-statement.ts";
import type { StatementEffect } from "../../nft/trace/statement-effect.ts";
import { type Fraction, multiply, ONE } from "../packet/fraction.ts";
import type { PacketView } from "../packet/packet-view.ts";
import { type TargetOutcome, templated, untracked } from "./apply-target.ts";
import { type ChainWalk, earlierAnswer, type RuleVisit, ruleEvent, type TakenRule, withMiss } from "./rule-visit.ts";
import { type Question, type RuleEvent, type WalkState, withEvent } from "./walk-state.ts";

/** What became of one way at a rule: what it did, or that it passed the way over (`miss`), which is told in the state already. */
export interface NftOutcome {
  readonly taken: TakenRule;
  readonly effect: TargetOutcome | { readonly kind: "miss" };
}

/** A way that is part way through a rule's statements. */
interface Job {
  readonly state: WalkState;
  /** Which statement is next. */
  readonly at: number;
  readonly outcome: RuleEvent["outcome"];
}

/** Carries a rule's statements out, one after the other, until one does not hold or says where the packet goes. */
export function runNftRule(walk: ChainWalk, asked: RuleVisit, rule: NftRule): readonly NftOutcome[] {
  const outcomes: NftOutcome[] = [];
  const work: Job[] = [{ state: asked.state, at: 0, outcome: { kind: "matched" } }];
  for (let job = work.pop(); job !== undefined; job = work.pop()) {
    const statement = rule.statements[job.at];
    if (statement === undefined) {
      outcomes.push({
        taken: takenBy(asked, job),
        effect: { kind: "continue", packet: job.state.packet },
      });
      continue;
    }
    runOne({ walk, asked, rule, work, outcomes }, job, statement);
  }
  return outcomes;
}

interface Running {
  readonly walk: ChainWalk;
  readonly asked: RuleVisit;
  readonly rule: NftRule;
  readonly work: Job[];
  readonly outcomes: NftOutcome[];
}

function takenBy(asked: RuleVisit, { state, outcome }: Pick<Job, "state" | "outcome">): TakenRule {
  return { ...asked, state, outcome, before: asked.state.packet };
}

function askedAt({ base, context, hook }: ChainWalk, { packet, route }: WalkState): NftAskedAt {
  if (base.nft === undefined) throw new TypeError(`${base.table} is not a table of nftables`);
  return {
    packet,
    host: context.host,
    hook,
    table: base.nft,
    knowsDynamicSets: context.knowsDynamicSets,
    onElement: context.onElement,
    nextHop: route?.gateway,
    untracked,
    templated,
  };
}

function runOne(running: Running, job: Job, statement: NftStatement): void {
  const { walk, asked, rule, outcomes } = running;
  const result = runStatement(statement, askedAt(walk, job.state));
  if (result.kind === "open") {
    // Where nothing follows that changes the packet or its way, the answer makes no difference.
    if (rule.statements.slice(job.at).every(isIdle)) {
      const outcome = { kind: "immaterial", because: result.because } as const;
      outcomes.push({
        taken: takenBy(asked, { ...job, outcome }),
        effect: { kind: "continue", packet: job.state.packet },
      });
    } else assume(running, job, { statement, because: result.because, isVolatile: result.isVolatile });
    return;
  }
  const isSure = result.ways.length === 1;
  if (!isSure && rule.statements.slice(job.at).every(isIdle)) {
    const outcome = { kind: "immaterial", because: "by chance" } as const;
    outcomes.push({
      taken: takenBy(asked, { ...job, outcome }),
      effect: { kind: "continue", packet: job.state.packet },
    });
    return;
  }
  for (const { chance, effect } of result.ways) {
    const state = isSure ? job.state : { ...job.state, probability: multiply(job.state.probability, chance) };
    const outcome = isSure
      ? job.outcome
      : { kind: "chance" as const, chance: chanceSoFar(job.outcome, chance), match: statement };
    carryOn(running, { state, at: job.at, outcome }, { statement, effect, chance: isSure ? undefined : chance });
  }
}

function chanceSoFar(outcome: RuleEvent["outcome"], chance: Fraction): Fraction {
  return multiply(outcome.kind === "chance" ? outcome.chance : ONE, chance);
}

function carryOn(
  running: Running,
  job: Job,
  { statement, effect, chance }: { statement: NftStatement; effect: StatementEffect; chance: Fraction | undefined },
): void {
  const { walk, asked, work, outcomes } = running;
  const { state } = job;
  switch (effect.kind) {
    case "next":
      work.push({ ...job, state: { ...state, packet: effect.packet }, at: job.at + 1 });
      return;
    case "break":
      outcomes.push({
        taken: takenBy(asked, { ...job, state: passedOver(walk, asked, { job, statement, chance }) }),
        effect: { kind: "miss" },
      });
      return;
    default:
      outcomes.push({ taken: takenBy(asked, job), effect: targetOutcome(effect) });
  }
}

function targetOutcome(effect: Exclude<StatementEffect, { readonly kind: "next" | "break" }>): TargetOutcome {
  if (effect.kind !== "verdict") return effect;
  const { verdict } = effect;
  if ("chain" in verdict) return verdict;
  return verdict.kind === "continue" ? { kind: "return" } : { kind: verdict.kind };
}

/** A rule that changed the packet before a statement did not hold is told as one that took it. */
function passedOver(
  walk: ChainWalk,
  asked: RuleVisit,
  { job, statement, chance }: { job: Job; statement: NftStatement; chance: Fraction | undefined },
): WalkState {
  const { state, outcome } = job;
  if (isChanged(asked.state.packet, state.packet))
    return withEvent(state, ruleEvent(walk, takenBy(asked, { state, outcome }), { outcome }));
  return withMiss(walk, { ...asked, state }, { failed: statement, ...(chance === undefined ? {} : { lost: chance }) });
}

function isChanged(before: PacketView, after: PacketView): boolean {
  return before !== after;
}

function assume(
  { walk, asked, rule, work, outcomes }: Running,
  job: Job,
  { statement, because, isVolatile }: { statement: NftStatement; because: string; isVolatile: boolean },
): void {
  const { state } = job;
  const known = isVolatile ? undefined : earlierAnswer(state, { match: statement, reads: "everything" });
  const question: Question = {
    position: { table: walk.table, chain: asked.chain, number: asked.number },
    rule,
    match: statement,
    because,
    answers: 2,
    packet: state.packet,
    reached: state.probability,
    past: state.past,
  };
  const assuming = (answer: number): WalkState =>
    known === undefined ? { ...state, assumptions: { question, answer, earlier: state.assumptions } } : state;
  if (known !== 0) {
    const outcome = { kind: "assumed", took: false, because } as const;
    const passed = assuming(1);
    outcomes.push({
      taken: takenBy(asked, {
        state: withEvent(passed, ruleEvent(walk, takenBy(asked, { state: passed, outcome }), { outcome })),
        outcome,
      }),
      effect: { kind: "miss" },
    });
  }
  if (known !== 1) {
    const outcome = { kind: "assumed", took: true, because } as const;
    work.push({ state: assuming(0), at: job.at + 1, outcome });
  }
}

/** Whether a statement leaves the packet and its way as they are, whatever it answers. */
function isIdle(statement: NftStatement): boolean {
  switch (statement.kind) {
    case "match":
    case "gate":
    case "counter":
    case "inert":
      return true;
    case "verdict":
      return statement.verdict.kind === "continue";
    default:
      return false;
  }
}
