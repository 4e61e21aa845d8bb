import type { PlacedRule } from "../../hooks/any-rule.ts";
import { MAX_DEPTH } from "../../hooks/max-depth.ts";
import type { Hook } from "../../rule-set.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import type { EndedState, SymbolicState } from "./symbolic-state.ts";
import type { SymbolicResult } from "./symbolic-steps.ts";

/** A base chain of either program at one hook, and what has come out of it so far. */
export interface BaseWalk<Chain> {
  readonly context: ProofContext;
  readonly chains: ReadonlyMap<string, Chain>;
  readonly hook: Hook;
  readonly accepted: SymbolicState[];
  readonly ended: EndedState[];
  /** @returns the states that come to the chain's end or return from it */
  readonly walkChain: (walk: BaseWalk<Chain>, chain: Chain, entry: ChainEntry) => SymbolicState[];
}

export interface ChainEntry {
  readonly entering: SymbolicState;
  /** Names of the chains that led here, this one the last. */
  readonly path: readonly string[];
}

interface Base<Chain> {
  readonly table: string;
  readonly chain: Chain;
  readonly policy: "ACCEPT" | "DROP";
  readonly chains: ReadonlyMap<string, Chain>;
}

/** Walks a base chain, its policy included. */
export function walkBase<Chain extends { readonly name: string }>(
  { base, ...how }: Pick<BaseWalk<Chain>, "context" | "hook" | "walkChain"> & { readonly base: Base<Chain> },
  entering: SymbolicState,
): SymbolicResult {
  const { table, chain, chains, policy } = base;
  const walk: BaseWalk<Chain> = { ...how, chains, accepted: [], ended: [] };
  const fell = walk.walkChain(walk, chain, { entering, path: [chain.name] });
  if (policy !== "DROP") return { going: [...walk.accepted, ...fell], ended: walk.ended };
  const because = `the policy of ${table} ${chain.name} is DROP`;
  for (const state of fell) walk.ended.push({ state, ending: { kind: "dropped", because, policyOf: table } });
  return { going: walk.accepted, ended: walk.ended };
}

/**
 * Jumps or goes to a chain, from a rule whose chain's callers get what `fell` holds.
 *
 * @returns the states that go on to the next rule
 */
export function enterChain<Chain>(
  walk: BaseWalk<Chain>,
  { entering, path }: ChainEntry,
  { to, placed, fell }: Leading,
): readonly SymbolicState[] {
  const chain = walk.chains.get(to.chain);
  const isDeep = path.length >= MAX_DEPTH;
  if (chain === undefined || isDeep || path.includes(to.chain)) {
    const why =
      chain === undefined
        ? "does not exist"
        : isDeep
          ? `is ${MAX_DEPTH} jumps deep, too deep to decide`
          : "leads back to itself";
    const because = `the chain ${to.chain} ${why}`;
    walk.ended.push({ state: entering, ending: { kind: "undecided", because, placed } });
    return [];
  }
  const back = walk.walkChain(walk, chain, { entering, path: [...path, to.chain] });
  if (to.kind === "jump") return back;
  for (const one of back) fell.push(one);
  return [];
}

interface Leading {
  readonly to: { readonly kind: "jump" | "goto"; readonly chain: string };
  readonly placed: PlacedRule;
  readonly fell: SymbolicState[];
}
