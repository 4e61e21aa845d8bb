import { boundKinds, type ProofContext } from "../../prove/compile/proof-context.ts";
import { type BaseWalk, type ChainEntry, enterChain, walkBase } from "../../prove/walk/base-walk.ts";
import type { SymbolicState } from "../../prove/walk/symbolic-state.ts";
import type { SymbolicResult } from "../../prove/walk/symbolic-steps.ts";
import type { Hook } from "../../rule-set.ts";
import type { NftVerdict } from "../nft-rule-set.ts";
import type { CompiledNftBase, CompiledNftChain, CompiledNftRule } from "./compiled-nft.ts";
import { runStep } from "./run-step.ts";
import { decidedBy } from "./step-outcome.ts";

type NftWalk = BaseWalk<CompiledNftChain>;

/** Walks a base chain of nftables at one hook, its policy included. */
export function walkNftBase(
  context: ProofContext,
  entering: SymbolicState,
  { base, hook }: { base: CompiledNftBase; hook: Hook },
): SymbolicResult {
  return walkBase({ context, hook, base, walkChain }, entering);
}

/** A state on its way through a chain: which rule is next, and which of its steps. */
interface Job {
  readonly state: SymbolicState;
  readonly at: number;
  readonly step: number;
}

/** @returns the states that come to the chain's end or return from it */
function walkChain(walk: NftWalk, chain: CompiledNftChain, { entering, path }: ChainEntry): SymbolicState[] {
  const fell: SymbolicState[] = [];
  const work: Job[] = [{ state: entering, at: 0, step: 0 }];
  for (let job = work.pop(); job !== undefined; job = work.pop()) {
    const { state, at, step } = job;
    const rule = chain.rules[at];
    if (rule === undefined) {
      fell.push(state);
      continue;
    }
    const next = rule.steps[step];
    if (next === undefined) {
      work.push({ state, at: at + 1, step: 0 });
      continue;
    }
    walk.context.count(rule.placed);
    boundKinds(work.length + fell.length + walk.accepted.length + walk.ended.length, rule.placed);
    const { context, hook } = walk;
    for (const outcome of runStep({ context, placed: rule.placed, hook }, state, next)) {
      switch (outcome.kind) {
        case "next":
          work.push({ state: outcome.state, at, step: step + 1 });
          break;
        case "break":
          work.push({ state: outcome.state, at: at + 1, step: 0 });
          break;
        case "accepted":
          walk.accepted.push(outcome.state);
          break;
        case "ended":
          walk.ended.push(outcome.end);
          break;
        case "verdict":
          for (const back of follow(walk, outcome, { rule, path, fell }))
            work.push({ state: back, at: at + 1, step: 0 });
      }
    }
  }
  return fell;
}

interface Taking {
  readonly rule: CompiledNftRule;
  readonly path: readonly string[];
  /** Where states go that leave the chain. */
  readonly fell: SymbolicState[];
}

/** @returns the states that go on to the next rule */
function follow(
  walk: NftWalk,
  { state, verdict }: { readonly state: SymbolicState; readonly verdict: NftVerdict },
  { rule: { placed }, path, fell }: Taking,
): readonly SymbolicState[] {
  switch (verdict.kind) {
    case "continue":
      return [state];
    case "accept":
      walk.accepted.push(decidedBy(state, placed));
      return [];
    case "return":
      fell.push(decidedBy(state, placed));
      return [];
    case "drop": {
      const because = `rule ${placed.number} of ${placed.table} ${placed.chain}`;
      walk.ended.push({ state: decidedBy(state, placed), ending: { kind: "dropped", because, placed } });
      return [];
    }
    case "jump":
    case "goto":
      return enterChain(walk, { entering: state, path }, { to: verdict, placed, fell });
  }
}
