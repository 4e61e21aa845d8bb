import { type Chain, type Rule, type Target, targetEffect } from "@svcproxy/rules";
import { excludes, type PacketClass } from "./packet-class.ts";

export interface ForeignPlace {
  /** All chains of the table. */
  readonly chains: ReadonlyMap<string, Chain>;
  /** The built-in chain that holds the rule. */
  readonly builtIn: string;
}

/**
 * Whether a foreign rule in a built-in chain can end the way of a packet of one of the classes, itself or by a chain that
 * it jumps to, before it comes to a later rule of ours. What is not understood counts as able to.
 */
export function foreignRuleTakes(rule: Rule, classes: readonly PacketClass[], place: ForeignPlace): boolean {
  return classes.some((packets) => takes(rule, packets, { ...place, depth: 0, visited: new Set() }));
}

interface Walk extends ForeignPlace {
  readonly depth: number;
  readonly visited: Set<string>;
}

function takes({ matches, target }: Rule, packets: PacketClass, walk: Walk): boolean {
  if (matches.some((match) => excludes(match, packets))) return false;
  if (target.kind === "jump") return chainTakes(target.chain, packets, walk);
  if (target.kind === "goto") {
    // From a built-in chain there is no way back to the rules after it.
    return walk.depth === 0 || chainTakes(target.chain, packets, walk);
  }
  return endsWalk(target, walk);
}

function chainTakes(name: string, packets: PacketClass, walk: Walk): boolean {
  if (walk.visited.has(name)) return false;
  walk.visited.add(name);
  const rules = walk.chains.get(name)?.rules ?? [];
  return rules.some((rule) => takes(rule, packets, { ...walk, depth: walk.depth + 1 }));
}

function endsWalk(target: Target, { depth, builtIn }: Walk): boolean {
  // Our own rules behind POSTROUTING would do no other thing to the packet.
  if (target.kind === "masquerade") return builtIn !== "POSTROUTING";
  const { next } = targetEffect(target);
  return next === "ends" || next === "unknown" || (next === "returns" && depth === 0);
}
