import type { Chain, Match, Rule } from "@svcproxy/rules";
import { hashName } from "../rule-parts/hash-name.ts";
import { jump } from "../rule-parts/targets.ts";
import { splitEvenly } from "./split-evenly.ts";

/** One endpoint of a service. */
export interface Choice {
  /** Chain that leads to it. */
  readonly chain: string;
  /** Written before the `statistic` match. */
  readonly matches: readonly Match[];
}

/** Rules that one packet walks past in a chain, at most, where the choice is a tree. */
const FAN_OUT = 16;
const HASH_LENGTH = 16;

/**
 * The rules of a chain that jump to each of `choices` with the same chance; the last takes what is left.
 *
 * @param split the `statistic` matches for a list of weights; by default exact to 1e-9
 */
export function chooseEvenly(choices: readonly Choice[], split = splitEvenly): readonly Rule[] {
  const shares = split(choices.map(() => 1));
  return choices.map(({ chain, matches }, index) => {
    const share = shares[index];
    return { matches: share === undefined ? matches : [...matches, share], target: jump(chain) };
  });
}

/**
 * The same chances by a tree of chains, so that the walk grows with the logarithm of the number of endpoints.
 *
 * @param groups takes the chains below, by name; where two services have the same endpoints in a group, they share its chain
 */
export function chooseEvenlyByTree(choices: readonly Choice[], groups: Map<string, Chain>): readonly Rule[] {
  if (choices.length <= FAN_OUT) return chooseEvenly(choices);
  const parts = partition(choices);
  const shares = splitEvenly(parts.map((part) => part.length));
  return parts.map((part, index) => {
    const share = shares[index];
    return { matches: share === undefined ? [] : [share], target: jump(groupChain(part, groups)) };
  });
}

/** Neighbours together, as few levels as the fan-out allows, all parts of nearly the same size. */
function partition(choices: readonly Choice[]): readonly (readonly Choice[])[] {
  const levels = Math.ceil(Math.log(choices.length) / Math.log(FAN_OUT) - 1e-9);
  const count = Math.ceil(choices.length ** (1 / levels) - 1e-9);
  return Array.from({ length: count }, (_, index) =>
    choices.slice(Math.floor((index * choices.length) / count), Math.floor(((index + 1) * choices.length) / count)),
  );
}

function groupChain(choices: readonly Choice[], groups: Map<string, Chain>): string {
  const name = `KUBE-BAL-${hashName(choices.map(({ chain }) => chain).join(" "), HASH_LENGTH)}`;
  if (!groups.has(name)) groups.set(name, { name, rules: chooseEvenlyByTree(choices, groups) });
  return name;
}
