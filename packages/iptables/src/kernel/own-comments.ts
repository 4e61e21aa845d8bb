import type { Match } from "@svcproxy/rules";
import type { DesiredRules, Hook } from "../desired-rules.ts";

/**
 * Stands before the comments of our rules in built-in chains, where these are kube-proxy's. A kube-proxy that starts for nftables takes away the
 * jumps with its own comments, then in one transaction the chains with its names, which are ours: with other comments the jumps stay, and with them, because
 * they are in use, the chains. It passes over that failure; without it a host that is given back would serve nothing until its first rules are there.
 */
export const OWN_COMMENT = "svcproxy: ";

/** The rules as they are loaded. Those that are printed are kube-proxy's to the word; a comparison passes over comments. */
export function withOwnComments({ hooks, ...rules }: DesiredRules): DesiredRules {
  return { ...rules, hooks: hooks.map(withOwnComment) };
}

function withOwnComment(hook: Hook): Hook {
  const { matches, target } = hook.rule;
  if (target.kind !== "jump" || !matches.some(({ kind }) => kind === "comment")) return hook;
  const own = (match: Match): Match =>
    match.kind === "comment" ? { ...match, text: `${OWN_COMMENT}${match.text}` } : match;
  return { ...hook, rule: { ...hook.rule, matches: matches.map(own) } };
}
