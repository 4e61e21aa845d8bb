import type { Match } from "../match.ts";
import type { Rule } from "../rule-set.ts";
import { formatMatch } from "./format-match.ts";
import type { FormatOptions } from "./format-style.ts";
import { formatTarget } from "./format-target.ts";

/**
 * The rule as it stands behind `-A CHAIN `, counters aside.
 *
 * @throws RangeError in the style `restore` where a word other than a comment holds a line break, which
 *   iptables-restore cannot read
 */
export function formatRule(rule: Rule, options: FormatOptions): string {
  const text = options.style === "save" ? savedMatches(rule.matches, options) : writtenMatches(rule.matches, options);
  const target = formatTarget(rule.target, options);
  return text === "" ? target : target === "" ? text : `${text} ${target}`;
}

/**
 * In the order of the value. A module that is named before its protocol gets its options behind the destination, as
 * kube-proxy writes it: `-m tcp -p tcp -d 10.1.1.1 --dport 80`.
 */
function writtenMatches(matches: readonly Match[], options: FormatOptions): string {
  let text = "";
  let heldBack = "";
  for (let index = 0; index < matches.length; index++) {
    const match = matches[index];
    if (match === undefined) break;
    const next = matches[index + 1]?.kind;
    let words = formatMatch(match, options);
    if ((match.kind === "tcp" || match.kind === "udp" || match.kind === "sctp") && next === "protocol") {
      const module = `-m ${match.kind}`;
      heldBack = words.slice(module.length);
      words = module;
    } else if (match.kind === "destination" || (match.kind === "protocol" && next !== "destination")) {
      words += heldBack;
      heldBack = "";
    }
    text += index === 0 ? words : ` ${words}`;
  }
  return text;
}

function savedMatches(matches: readonly Match[], options: FormatOptions): string {
  return inSavedOrder(matches)
    .map((match) => formatMatch(match, options))
    .join(" ");
}

/** iptables-save prints what belongs to no module first, in this order. */
const HEADER_ORDER: readonly string[] = [
  ...["source", "destination", "inInterface", "outInterface", "protocol", "fragment"],
];

function inSavedOrder(matches: readonly Match[]): readonly Match[] {
  const place = ({ kind }: Match) => {
    const header = HEADER_ORDER.indexOf(kind);
    return header < 0 ? HEADER_ORDER.length : header;
  };
  return matches.toSorted((a, b) => place(a) - place(b));
}
