import type { Match, Rule } from "../rule-set.ts";
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
  const words = options.style === "save" ? savedMatches(rule.matches, options) : writtenMatches(rule.matches, options);
  const text = words.join(" ");
  const target = formatTarget(rule.target, options);
  return text === "" ? target : target === "" ? text : `${text} ${target}`;
}

/**
 * In the order of the value. A module that is named before its protocol gets its options behind the destination, as
 * kube-proxy writes it: `-m tcp -p tcp -d 10.1.1.1 --dport 80`.
 */
function writtenMatches(matches: readonly Match[], options: FormatOptions): readonly string[] {
  const words: string[] = [];
  let heldBack = "";
  for (const [index, match] of matches.entries()) {
    const next = matches[index + 1]?.kind;
    let text = formatMatch(match, options);
    if ((match.kind === "tcp" || match.kind === "udp" || match.kind === "sctp") && next === "protocol") {
      const module = `-m ${match.kind}`;
      heldBack = text.slice(module.length);
      text = module;
    } else if (match.kind === "destination" || (match.kind === "protocol" && next !== "destination")) {
      text += heldBack;
      heldBack = "";
    }
    words.push(text);
  }
  return words;
}

function savedMatches(matches: readonly Match[], options: FormatOptions): readonly string[] {
  return inSavedOrder(matches).map((match) => formatMatch(match, options));
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
