import type { OpenQuestion } from "../../prove/compile/condition.ts";
import { openAnswer } from "../../prove/walk/ask-question.ts";
import type { SymbolicState } from "../../prove/walk/symbolic-state.ts";
import { type AskedNft, assume } from "./asked-nft.ts";
import type { LookupNode } from "./lookup-tree.ts";

/** So many answers are followed, each a world of its own. */
const MOST_ANSWERS = 8;

/** The packets of a state whose value leads to a group; `none`: to no group, `unknown`: to which is not known. */
export interface Divided {
  readonly state: SymbolicState;
  readonly group: number | "none" | "unknown";
}

/** Divides a state by what nobody knows: one question for each group that the value may lead to. */
export function byQuestions(
  { placed }: AskedNft,
  state: SymbolicState,
  { open, node }: { readonly open: OpenQuestion; readonly node: LookupNode },
): readonly Divided[] {
  if (node.groups.length > MOST_ANSWERS) return [{ state, group: "unknown" }];
  const found: Divided[] = [];
  let rest = state;
  for (const group of node.groups.keys()) {
    const answer = openAnswer(rest, placed, { ...open, text: `${open.text} is ${namesOf(node, group)}` });
    if (answer === "no") continue;
    if (answer === "yes") return [...found, { state: rest, group }];
    if (answer.kind !== "question") throw new TypeError("an open question has no other answer");
    found.push({ state: assume(rest, answer.question, true), group });
    rest = assume(rest, answer.question, false);
  }
  return [...found, { state: rest, group: "none" }];
}

const SHOWN = 4;

function namesOf({ ranges, names, prefixes, domain }: LookupNode, group: number): string {
  const found = [
    ...[...names].filter(([, own]) => own === group).map(([name]) => name),
    ...prefixes.filter((one) => one.group === group).map(({ prefix }) => `${prefix}*`),
  ];
  for (let at = 0; at < ranges.length; at += 3) {
    const [from = 0, end = 0, own] = ranges.slice(at, at + 3);
    if (own === group)
      found.push(domain === "address" ? `block ${from}` : end === from + 1 ? `${from}` : `${from}-${end - 1}`);
  }
  return found.length > SHOWN
    ? `one of ${found.slice(0, SHOWN).join(", ")} and ${found.length - SHOWN} more`
    : found.join(" or ");
}
