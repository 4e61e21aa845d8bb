import type { ObservedHost } from "../observation.ts";

/** What divides connection tracking, sends copies or packets elsewhere, or leaves them to a program: a trace follows none of it. */
const UNFOLLOWED =
  /-j (?:CT .*--zone\S*|TEE|NFQUEUE|TPROXY|SYNPROXY)\b|\bct (?:original |reply )?zone set\b|\b(?:dup|fwd) to\b|\bqueue (?:num|to|flags)\b|\btproxy (?:ip6? )?to\b|\bsynproxy\b/;
const MOST_RULES = 3;

/** Rules of a host that may be why a packet does not arrive that arrives on paper, as they are listed. */
export function unfollowedRules({ snapshot }: ObservedHost): readonly string[] {
  const lines = snapshot.rules?.texts.flatMap(({ text }) => text.split("\n")) ?? [];
  return [...new Set(lines.filter((line) => UNFOLLOWED.test(line)).map((line) => line.trim()))].slice(0, MOST_RULES);
}
