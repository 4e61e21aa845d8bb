import { parseIpAddress } from "@svcproxy/topology";
import type { PacketView } from "../../trace/packet/packet-view.ts";
import { formatExpression } from "../format-nft-rule.ts";
import { isIdleSet, staleChecksum } from "../idle-set.ts";
import type { NftExpression, NftStatement } from "../nft-rule-set.ts";
import type { NftAskedAt } from "./asked.ts";
import { evaluateExpression } from "./evaluate-expression.ts";
import { hasHeader } from "./evaluate-payload.ts";
import { describeDoubt } from "./set-lookup.ts";
import { type StatementEffect, type StatementResult, surely } from "./statement-effect.ts";
import type { Value } from "./value.ts";

/** `meta mark set …`, `ct mark set …`, `ip daddr set …`. */
export function setField(
  statement: Extract<NftStatement, { readonly kind: "set" }>,
  asked: NftAskedAt,
): StatementResult {
  const { target, value } = statement;
  if (target.kind === "payload" && !hasHeader(target.header, asked.packet)) return surely({ kind: "break" });
  if (isIdleSet(statement)) return surely({ kind: "next", packet: asked.packet });
  const stale = staleChecksum(target);
  if (stale !== undefined) return surely({ kind: "unknown", because: stale });
  return {
    kind: "drawn",
    ways: evaluateExpression(value, asked).map(({ chance, values }) => ({
      chance,
      effect: values === "none" || values[0] === undefined ? { kind: "break" } : assign(target, values[0], asked),
    })),
  };
}

function assign(target: NftExpression, value: Value, asked: NftAskedAt): StatementEffect {
  switch (target.kind) {
    case "meta":
      return assignMeta(target.key, value, asked.packet);
    case "ct":
      return assignCt(target, value, asked);
    case "payload":
      return assignPayload(target, value, asked.packet);
    case "other":
      // An option of TCP, most often its largest segment, changes no way; nft asks for TCP before, without a word.
      if (target.text.startsWith("tcp option "))
        return asked.packet.protocol === "tcp" ? { kind: "next", packet: asked.packet } : { kind: "break" };
      return { kind: "unknown", because: `what \`${formatExpression(target)} set\` does is not known` };
    default:
      return { kind: "unknown", because: `what \`${formatExpression(target)} set\` does is not known` };
  }
}

function assignMeta(key: string, value: Value, packet: PacketView): StatementEffect {
  const number = value.kind === "known" && typeof value.datum === "number" ? value.datum : undefined;
  if (key === "mark") {
    if (number === undefined)
      return { kind: "unknown", because: `the mark that it gets is not known: ${describeDoubt(value)}` };
    return { kind: "next", packet: { ...packet, mark: number >>> 0 } };
  }
  if (key === "priority") {
    const { priority: _, ...rest } = packet;
    return { kind: "next", packet: number === undefined ? rest : { ...rest, priority: number >>> 0 } };
  }
  return { kind: "unknown", because: `what \`meta ${key} set\` does is not known` };
}

function assignCt(
  { key, direction }: Extract<NftExpression, { readonly kind: "ct" }>,
  value: Value,
  asked: NftAskedAt,
): StatementEffect {
  const { packet } = asked;
  const { connection } = packet;
  const number = value.kind === "known" && typeof value.datum === "number" ? value.datum : undefined;
  if (key === "mark") {
    // Without a connection there is nothing to set, and the rule goes on.
    if (connection === undefined || connection.state === "INVALID" || connection.state === "UNTRACKED")
      return { kind: "next", packet };
    if (connection.isTemplate === true) return { kind: "next", packet };
    return {
      kind: "next",
      packet: { ...packet, connection: { ...connection, mark: number === undefined ? undefined : number >>> 0 } },
    };
  }
  if (key === "zone") {
    if (connection?.state === "UNTRACKED")
      return {
        kind: "unknown",
        because: "what is not tracked is given a zone: whether that has it tracked is not known",
      };
    // A connection that is known keeps the zone in which it was found.
    if (connection !== undefined) return { kind: "next", packet };
    if (number === undefined)
      return { kind: "unknown", because: `which zone it gets is not known: ${describeDoubt(value)}` };
    return { kind: "next", packet: asked.templated(packet, { zone: number, direction: direction ?? "both" }) };
  }
  return { kind: "unknown", because: `what \`ct ${key} set\` does is not known` };
}

function assignPayload(
  { header, field }: Extract<NftExpression, { readonly kind: "payload" }>,
  value: Value,
  packet: PacketView,
): StatementEffect {
  const isFamily = header === (packet.family === 4 ? "ip" : "ip6");
  const datum = value.kind === "known" ? value.datum : undefined;
  if (isFamily && (field === "saddr" || field === "daddr")) {
    const address = typeof datum === "string" ? parseIpAddress(datum) : undefined;
    if (address === undefined)
      return { kind: "unknown", because: `which address it gets is not known: ${describeDoubt(value)}` };
    return { kind: "next", packet: { ...packet, [field === "saddr" ? "source" : "destination"]: address } };
  }
  if (field === "sport" || field === "dport") {
    if (typeof datum !== "number")
      return { kind: "unknown", because: `which port it gets is not known: ${describeDoubt(value)}` };
    const ports = { from: datum, to: datum };
    return { kind: "next", packet: { ...packet, [field === "sport" ? "sourcePorts" : "destinationPorts"]: ports } };
  }
  if (isFamily && (field === "ttl" || field === "hoplimit")) {
    const { ttl: _, isTtlOpen: __, ...rest } = packet;
    return { kind: "next", packet: typeof datum === "number" ? { ...rest, ttl: datum } : { ...rest, isTtlOpen: true } };
  }
  if (isFamily && field === "dscp") {
    const { tos, ...rest } = packet;
    if (tos === undefined || typeof datum !== "number") return { kind: "next", packet: rest };
    return { kind: "next", packet: { ...rest, tos: (datum << 2) | (tos & 3) } };
  }
  return { kind: "unknown", because: `what \`${header} ${field} set\` does is not known` };
}
