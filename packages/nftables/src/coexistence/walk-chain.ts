import type { NftChain, NftRule, NftStatement, NftTable, NftVerdict } from "@svcproxy/rules";
import { type Answer, answerMatch, both, lookUp } from "./answer-match.ts";
import type { AskedPacket } from "./asked-packet.ts";

/** What another program's chain does with a packet of ours. */
export type Fate =
  /** It is translated, handed over, or kept from being tracked: `certain` unless that depends on what is not asked about. */
  | { readonly kind: "taken"; readonly rule: NftRule; readonly isCertain: boolean }
  /** Only where it is certain. Without a rule: by the chain's policy. */
  | { readonly kind: "dropped"; readonly rule?: NftRule }
  | { readonly kind: "passed" };

const PASSED: Fate = { kind: "passed" };
/** A chain of chains that is deeper is not a real one. */
const MAX_DEPTH = 16;

/** Follows a packet through a base chain. What cannot be told of it counts as not so, but for who takes it. */
export function fateIn(chain: NftChain, packet: AskedPacket, table: NftTable): Fate {
  const end = walk(chain, { packet, table, answer: "yes", depth: 0 });
  if (end !== undefined && end !== "return") return end;
  return chain.base?.policy === "drop" ? { kind: "dropped" } : PASSED;
}

interface Walk {
  readonly packet: AskedPacket;
  readonly table: NftTable;
  /** Whether the packet comes here. */
  readonly answer: Answer;
  readonly depth: number;
}

/** @returns undefined where the packet comes back from the end of the chain */
function walk(chain: NftChain, input: Walk): Fate | "return" | undefined {
  if (input.depth > MAX_DEPTH) return undefined;
  for (const rule of chain.rules) {
    let { answer } = input;
    for (const statement of rule.statements) {
      if (answer === "no") break;
      const step = run(statement, { ...input, answer, rule });
      if (step.fate !== undefined) return step.fate;
      answer = step.answer;
    }
  }
  return undefined;
}

interface Step {
  /** Whether the rule goes on. */
  readonly answer: Answer;
  readonly fate?: Fate | "return" | undefined;
}

function run(statement: NftStatement, input: Walk & { readonly rule: NftRule }): Step {
  const { answer, packet, table, rule } = input;
  switch (statement.kind) {
    case "match":
      return { answer: both(answer, answerMatch(statement, packet, table)) };
    case "verdict":
      return follow(statement.verdict, input);
    case "vmap":
      for (const { element, answer: found } of lookUp(statement.key, statement.map, input)) {
        if (element.data?.kind !== "verdict") continue;
        const { fate } = follow(element.data.verdict, { ...input, answer: both(answer, found) });
        if (fate !== undefined) return { answer, fate };
      }
      return { answer };
    case "nat":
      return statement.type === "dnat"
        ? { answer, fate: { kind: "taken", rule, isCertain: answer === "yes" } }
        : { answer };
    case "redirect":
    case "handover":
    case "notrack":
      return { answer, fate: { kind: "taken", rule, isCertain: answer === "yes" } };
    case "reject":
      return answer === "yes" ? { answer, fate: { kind: "dropped", rule } } : { answer };
    case "gate":
    case "unread":
      return { answer: both(answer, "maybe") };
    default:
      return { answer };
  }
}

function follow(verdict: NftVerdict, input: Walk & { readonly rule: NftRule }): Step {
  const { answer, table, rule, depth } = input;
  if (verdict.kind === "jump" || verdict.kind === "goto") {
    const chain = table.chains.find(({ name }) => name === verdict.chain);
    const fate = chain === undefined ? undefined : walk(chain, { ...input, depth: depth + 1 });
    if (fate !== undefined && fate !== "return") return { answer, fate };
    // A goto does not come back to this chain.
    return verdict.kind === "goto" && answer === "yes" ? { answer, fate: "return" } : { answer };
  }
  if (answer !== "yes") return { answer };
  switch (verdict.kind) {
    case "accept":
      return { answer, fate: PASSED };
    case "drop":
      return { answer, fate: { kind: "dropped", rule } };
    case "return":
      return { answer, fate: "return" };
    default:
      return { answer };
  }
}
