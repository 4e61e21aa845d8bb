import { hashName } from "@svcproxy/host";
import type { Chain, Match, Rule, Target } from "@svcproxy/rules";
import { jump } from "../rule-parts/targets.ts";
import { choosesByTree, type DispatchMode } from "./dispatch-mode.ts";
import { splitEvenly } from "./split-evenly.ts";

/** One endpoint of a service. */
export interface Choice {
  /** Of the chain that leads to it. */
  readonly name: string;
  /** Jump to that chain. */
  readonly target: Target;
  /** Says what the rule is for; written before the `statistic` match. */
  readonly note?: Match;
}

/** How the chains of services choose among endpoints. */
export interface Chooser {
  /** The rules that jump to each of `choices` with the same chance; the last takes what is left. */
  choose(choices: readonly Choice[]): readonly Rule[];
  /** The chains that these rules need below them, by name. */
  readonly groups: ReadonlyMap<string, Chain>;
}

/** Gives the `statistic` matches for `count` equal shares: one less, because the last rule takes what is left. */
export type EqualShares = (count: number) => readonly Match[];

/**
 * Rules of one chain where the choice is a tree. A `statistic` match costs several times a jump (140 ns against 20 ns were
 * measured with nft), and two to four rules a chain take the fewest of them. Fan-outs from 2 to 10 gave the same rate of new
 * connections, within the noise, and so did 1,000 chains that led to two addresses; 32 gave less. A packet that always takes
 * the first way down is as fast as with two endpoints (0.99), 256 endpoints give 0.98 and 1,000 give 0.92 to 0.95: what is
 * left is memory that few packets meet, a third of it that of the endpoints' own chains.
 */
const FAN_OUT = 4;
const HASH_LENGTH = 16;

/**
 * A chooser that asks one endpoint after the other or, where there are many, goes down a tree, so that the walk grows
 * with the logarithm of their number. Two services with the same endpoints in a group share its chain.
 *
 * @param shares for the choice one by one, which a tree of few endpoints is too; those of groups are exact to 1e-9
 */
export function createChooser(mode: DispatchMode, shares: EqualShares = equalShares): Chooser {
  const groups = new Map<string, Chain>();
  const matchesOf = shareMatches(shares);
  return {
    choose: (choices) =>
      choices.length > FAN_OUT && choosesByTree(choices.length, mode)
        ? chooseByTree(choices, groups)
        : chooseOneByOne(choices, matchesOf),
    groups,
  };
}

const equalShares: EqualShares = (count) => splitEvenly(Array<number>(count).fill(1));

const NO_MATCHES: readonly Match[] = [];

/** The matches of each rule of a choice among `count`. */
type ShareMatches = (count: number) => readonly (readonly Match[])[];

/** Made once for each count, because most services have one of few, and rules may have the same matches. */
function shareMatches(shares: EqualShares): ShareMatches {
  const known = new Map<number, readonly (readonly Match[])[]>();
  return (count) => {
    const matches = known.get(count) ?? [...shares(count).map((share) => [share]), NO_MATCHES];
    known.set(count, matches);
    return matches;
  };
}

/** Of the groups of a tree. */
const equalMatches = shareMatches(equalShares);

function chooseOneByOne(choices: readonly Choice[], matchesOf: ShareMatches): readonly Rule[] {
  const matches = matchesOf(choices.length);
  return choices.map(({ target, note }, index) => {
    const share = matches[index] ?? NO_MATCHES;
    return { matches: note === undefined ? share : [note, ...share], target };
  });
}

function chooseByTree(choices: readonly Choice[], groups: Map<string, Chain>): readonly Rule[] {
  if (choices.length <= FAN_OUT) return chooseOneByOne(choices, equalMatches);
  const parts = partition(choices);
  const shares = splitEvenly(parts.map((part) => part.length));
  return parts.map((part, index) => {
    const share = shares[index];
    return { matches: share === undefined ? NO_MATCHES : [share], target: jump(groupChain(part, groups)) };
  });
}

/** Neighbours together, as few levels as the fan-out allows, all parts of nearly the same size. */
function partition(choices: readonly Choice[]): readonly (readonly Choice[])[] {
  let levels = 1;
  while (FAN_OUT ** levels < choices.length) levels++;
  let count = 1;
  while (count ** levels < choices.length) count++;
  const start = (part: number) => Math.floor((part * choices.length) / count);
  return Array.from({ length: count }, (_, part) => choices.slice(start(part), start(part + 1)));
}

function groupChain(choices: readonly Choice[], groups: Map<string, Chain>): string {
  const name = `KUBE-BAL-${hashName(choices.map(({ name }) => name).join(" "), HASH_LENGTH)}`;
  if (!groups.has(name)) groups.set(name, { name, rules: chooseByTree(choices, groups) });
  return name;
}
