import { boundKinds, type ProofContext } from "../../prove/compile/proof-context.ts";
import type { EndedState, SymbolicState } from "../../prove/walk/symbolic-state.ts";
import type { SymbolicResult } from "../../prove/walk/symbolic-steps.ts";
import type { Hook } from "../../rule-set.ts";
import type { NftVerdict } from "../nft-rule-set.ts";
import type { CompiledNftBase, CompiledNftChain, CompiledNftRule } from "./compiled-nft.ts";
import { runStep } from "./run-step.ts";
import { decidedBy } from "./step-outcome.ts";

interface BaseWalk {
  readonly context: ProofContext;
  readonly chains: ReadonlyMap<string, CompiledNftChain>;
  readonly hook: Hook;
  readonly accepted: SymbolicState[];
  readonly ended: EndedState[];
}

/** Walks a base chain of nftables at one hook, its policy included. */
export function walkNftBase(
  context: ProofContext,
  entering: SymbolicState,
  { base, hook }: { base: CompiledNftBase; hook: Hook },
): SymbolicResult {
  const { table, chain, chains, policy } = base;
  const walk: BaseWalk = { context, chains, hook, accepted: [], ended: [] };
  const fell = walkChain(walk, chain, { entering, path: [chain.name] });
  if (policy !== "DROP") return { going: [...walk.accepted, ...fell], ended: walk.ended };
  const because = `the policy of ${table} ${chain.name} is DROP`;
  for (const state of fell) walk.ended.push({ state, ending: { kind: "dropped", because } });
  return { going: walk.accepted, ended: walk.ended };
}

interface ChainEntry {
  readonly entering: SymbolicState;
  readonly path: readonly string[];
}

/** A state on its way through a chain: which rule is next, and which of its steps. */
interface Job {
  readonly state: SymbolicState;
  readonly at: number;
  readonly step: number;
}

/** @returns the states that come to the chain's end or return from it */
function walkChain(walk: BaseWalk, chain: CompiledNftChain, { entering, path }: ChainEntry): SymbolicState[] {
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
    walk.context.count();
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
  walk: BaseWalk,
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
    case "goto": {
      const chain = walk.chains.get(verdict.chain);
      if (chain === undefined || path.includes(verdict.chain)) {
        const why = chain === undefined ? "does not exist" : "leads back to itself";
        const because = `the chain ${verdict.chain} ${why}`;
        walk.ended.push({ state: decidedBy(state, placed), ending: { kind: "undecided", because, placed } });
        return [];
      }
      const back = walkChain(walk, chain, { entering: state, path: [...path, verdict.chain] });
      if (verdict.kind === "jump") return back;
      for (const one of back) fell.push(one);
      return [];
    }
  }
}
