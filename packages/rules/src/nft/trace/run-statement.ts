import { unreachable } from "@svcproxy/topology";
import type { Fraction } from "../../trace/packet/fraction.ts";
import { complement } from "../../trace/packet/fraction.ts";
import type { PacketView } from "../../trace/packet/packet-view.ts";
import { formatStatement } from "../format-nft-rule.ts";
import type { NftStatement } from "../nft-rule-set.ts";
import { applyNftNat } from "./apply-nft-nat.ts";
import type { NftAskedAt } from "./asked.ts";
import { evaluateCondition } from "./evaluate-condition.ts";
import { evaluateExpression, lookUp } from "./evaluate-expression.ts";
import { runUpdate } from "./run-update.ts";
import { setField } from "./set-field.ts";
import { type StatementEffect, type StatementResult, surely } from "./statement-effect.ts";

/** Carries one statement out on a packet. */
export function runStatement(statement: NftStatement, asked: NftAskedAt): StatementResult {
  const { packet } = asked;
  const next: StatementEffect = { kind: "next", packet };
  switch (statement.kind) {
    case "match": {
      const result = evaluateCondition(statement, asked);
      switch (result.outcome) {
        case "yes":
          return surely(next);
        case "no":
          return surely({ kind: "break" });
        case "chance":
          return byChance(result.chance, next);
        case "unknown":
          return {
            kind: "open",
            because: result.because,
            isVolatile: /numgen|random/.test(formatStatement(statement)),
          };
      }
      return unreachable(result);
    }
    case "gate":
      return {
        kind: "open",
        because: gateText(statement.text),
        isVolatile: true,
      };
    case "verdict":
      return surely(statement.verdict.kind === "continue" ? next : { kind: "verdict", verdict: statement.verdict });
    case "vmap":
      return runVerdictMap(statement, asked);
    case "set":
      return setField(statement, asked);
    case "nat":
    case "masquerade":
    case "redirect":
      return applyNftNat(statement, asked);
    case "reject":
      return surely(reject(statement.with, packet));
    case "notrack":
      return surely({ kind: "next", packet: asked.untracked(packet) });
    case "counter":
    case "inert":
    case "copy":
      return surely(next);
    case "update":
      return runUpdate(statement, asked);
    case "handover":
      return surely({ kind: "unknown", because: `\`${statement.text}\` hands it over to somebody else` });
    case "unread":
      return surely({ kind: "unknown", because: `\`${statement.text}\` was not read: ${statement.because}` });
    default:
      return unreachable(statement);
  }
}

function byChance(chance: Fraction, next: StatementEffect): StatementResult {
  return {
    kind: "drawn",
    ways: [
      { chance, effect: next },
      { chance: complement(chance), effect: { kind: "break" } },
    ],
  };
}

/** An answer that is of another family than the packet, or no TCP's, is not sent: nft asks for it before, without a word. */
function reject(how: string, { family, protocol }: PacketView): StatementEffect {
  if (how === "tcp reset" && protocol !== "tcp") return { kind: "break" };
  if (how.startsWith("icmp ") && family === 6) return { kind: "break" };
  if (how.startsWith("icmpv6 ") && family === 4) return { kind: "break" };
  return { kind: "refuse", how };
}

function runVerdictMap(
  { key, map }: Extract<NftStatement, { readonly kind: "vmap" }>,
  asked: NftAskedAt,
): StatementResult {
  const ways: { chance: Fraction; effect: StatementEffect }[] = [];
  for (const { chance, values } of evaluateExpression(key, asked)) {
    if (values === "none") {
      ways.push({ chance, effect: { kind: "break" } });
      continue;
    }
    const found = lookUp(map, values, asked);
    if (found.kind === "unknown")
      return surely({ kind: "unknown", because: `which verdict it meets is not known: ${found.because}` });
    ways.push({ chance, effect: verdictEffect(found, asked.packet) });
  }
  return { kind: "drawn", ways };
}

function verdictEffect(
  found: Exclude<ReturnType<typeof lookUp>, { kind: "unknown" }>,
  packet: PacketView,
): StatementEffect {
  if (found.kind === "missing") return { kind: "break" };
  const { data } = found.element;
  if (data?.kind !== "verdict") return { kind: "unknown", because: "a verdict map gives no verdict" };
  return data.verdict.kind === "continue" ? { kind: "next", packet } : { kind: "verdict", verdict: data.verdict };
}

function gateText(text: string): string {
  if (text.startsWith("xt match ")) return `what \`${text}\` asks is known to iptables only`;
  return text.startsWith("whether ") ? text : `how many packets came before is not known (${text})`;
}
