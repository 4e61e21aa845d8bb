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
  const matches = options.style === "save" ? inSavedOrder(rule.matches) : rule.matches;
  let text = "";
  for (const match of matches) text += `${text === "" ? "" : " "}${formatMatch(match, options)}`;
  const target = formatTarget(rule.target, options);
  return text === "" ? target : target === "" ? text : `${text} ${target}`;
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
