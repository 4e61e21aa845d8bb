import type { Hook } from "../../rule-set.ts";
import type { KnownChains } from "./known-chains.ts";
import type { ObservedHeader, ObservedPacket } from "./observed-packet.ts";

/** One place on a packet's way that both the kernel and a trace tell of. */
export type Hop =
  | {
      readonly kind: "rule";
      readonly hook: Hook | undefined;
      readonly table: string;
      readonly chain: string;
      readonly number: number | undefined;
      /** How many jumps deep, 0 in a base chain. */
      readonly depth: number;
      readonly text: string;
      readonly verdict: string;
    }
  /** A base chain's policy dropped it. */
  | { readonly kind: "policy"; readonly hook: Hook | undefined; readonly table: string; readonly chain: string };

/** How a packet's way ended. */
export type ObservedEnd =
  | { readonly kind: "host"; readonly header: ObservedHeader }
  | { readonly kind: "interface"; readonly interface: string; readonly header: ObservedHeader }
  /** A rule or a policy said so. */
  | { readonly kind: "dropped" }
  /** It came to the end of a hook, and to no further one: a route, the check of its way back, or iptables-legacy. */
  | { readonly kind: "lost"; readonly behind: Hook | undefined };

export interface ObservedWay {
  readonly hops: readonly Hop[];
  readonly end: ObservedEnd;
}

/** The hops of a packet that the kernel told of, by the names that a trace gives them. */
export function observedWay({ steps }: ObservedPacket, chains: KnownChains): ObservedWay {
  const hops: Hop[] = [];
  let end: ObservedEnd | undefined;
  let hook: Hook | undefined;
  let depths = new Map<string, number>();
  for (const step of steps) {
    switch (step.kind) {
      case "chain":
        hook = chains.hookOf(step.table, step.chain);
        depths = new Map();
        break;
      case "rule": {
        const { table, chain, number, verdict } = step;
        const depth = depths.get(chain) ?? 0;
        const [, target] = /^(?:jump|goto) (.+)$/.exec(verdict) ?? [];
        if (target !== undefined) depths.set(target, depth + 1);
        const text = chains.ruleText(table, chain, number) ?? step.text;
        hops.push({ kind: "rule", hook, table: chains.labelOf(table), chain, number, depth, text, verdict });
        if (verdict === "drop") end = { kind: "dropped" };
        break;
      }
      case "policy":
        if (step.verdict === "accept") break;
        hops.push({ kind: "policy", hook, table: chains.labelOf(step.table), chain: step.chain });
        end = { kind: "dropped" };
        break;
      case "left":
        end = { kind: "interface", interface: step.header.outInterface ?? "", header: step.header };
        break;
      case "arrived":
        end = { kind: "host", header: step.header };
        break;
    }
  }
  return { hops, end: end ?? { kind: "lost", behind: hook } };
}
