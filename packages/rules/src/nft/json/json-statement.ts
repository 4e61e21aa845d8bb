import { typesOf, UNKNOWN_TYPE } from "../data-types.ts";
import { fibPresence } from "../fib-presence.ts";
import type { NftComparison, NftExpression, NftNatFlags, NftOperand, NftStatement } from "../nft-rule-set.ts";
import { expressionOf, type SetOf, setReferenceOf } from "./json-expression.ts";
import { partsOf, verdictOf } from "./json-parts.ts";
import {
  isObject,
  JsonFault,
  type JsonObject,
  numberIn,
  objectIn,
  onlyProperty,
  shown,
  textIn,
  textsIn,
} from "./json-value.ts";

/** Reads one statement of a rule in nft's JSON. @throws JsonFault where it is none that we know */
export function statementOf(value: unknown, setOf: SetOf): NftStatement {
  const verdict = verdictOf(value);
  if (verdict !== undefined) return { kind: "verdict", verdict };
  const [kind, content] = onlyProperty(value);
  switch (kind) {
    case "match":
      return matchOf(objectIn(content, kind), setOf);
    case "vmap": {
      const vmap = objectIn(content, kind);
      const key = expressionOf(vmap["key"], setOf);
      return { kind, key, map: setReferenceOf(vmap["data"], { key, setOf, dataTypes: ["verdict"], isMap: true }) };
    }
    case "mangle":
      return mangleOf(objectIn(content, kind), setOf);
    case "dnat":
    case "snat":
      return natOf(kind, objectIn(content, kind), setOf);
    case "masquerade":
    case "redirect": {
      const nat = isObject(content) ? content : {};
      const ports = nat["port"] === undefined ? undefined : expressionOf(nat["port"], setOf, ["inet_service"]);
      return { kind, ...(ports === undefined ? {} : { ports }), ...natFlags(nat) };
    }
    case "reject":
      return { kind, with: rejectOf(content) };
    case "notrack":
      return { kind };
    case "counter":
      return counterOf(content);
    case "set":
    case "map":
      return updateOf(objectIn(content, kind), setOf, kind);
    case "limit":
    case "quota":
    case "ct count":
      return { kind: "gate", text: clauseOf(kind, content) };
    case "log":
    case "last":
    case "flow":
      return { kind: "inert", text: clauseOf(kind, content) };
    case "ct helper":
    case "ct timeout":
    case "ct expectation":
    case "secmark":
      return { kind: "inert", text: `${kind} set ${typeof content === "string" ? content : shown(content)}` };
    case "dup":
      return { kind: "copy", text: clauseOf(kind, content) };
    case "queue":
    case "tproxy":
    case "synproxy":
    case "fwd":
      return { kind: "handover", text: clauseOf(kind, content) };
    case "xt":
      return xtOf(content);
    default:
      throw new JsonFault(`the statement ${shown(kind)} is not known`);
  }
}

/** What `xt match` does besides answering: of these alone an answer is not all. */
const CHANGING_MATCHES: ReadonlySet<string> = new Set(["socket", "connlabel"]);

/** iptables' comments hold of every packet; of its other extensions JSON has the names only. */
function xtOf(content: unknown): NftStatement {
  if (isObject(content) && content["type"] === "match" && typeof content["name"] === "string") {
    const { name } = content;
    if (name === "comment") return { kind: "inert", text: "xt match comment" };
    if (!CHANGING_MATCHES.has(name)) return { kind: "gate", text: `xt match ${name}` };
  }
  const name = isObject(content) && typeof content["name"] === "string" ? ` (${content["name"]})` : "";
  throw new JsonFault(`iptables' own extensions are known to a listing by their names only${name}`);
}

const COMPARISONS: ReadonlyMap<string, NftComparison> = new Map([
  ["==", "=="],
  ["!=", "!="],
  ["<", "<"],
  [">", ">"],
  ["<=", "<="],
  [">=", ">="],
  ["in", "any"],
  ["!", "none"],
]);

function matchOf(match: JsonObject, setOf: SetOf): NftStatement {
  const left = expressionOf(match["left"], setOf);
  const comparison = COMPARISONS.get(textIn(match, "op"));
  if (comparison === undefined) throw new JsonFault(`${shown(match["op"])} is not a comparison`);
  const right = operandOf(match["right"], { left, setOf });
  if (right.kind === "set") return { kind: "match", left, comparison, right };
  const { parts, comparison: asked } = fibPresence(left, comparison, right.parts);
  return { kind: "match", left, comparison: asked, right: { kind: "value", parts } };
}

function operandOf(value: unknown, { left, setOf }: { left: NftExpression; setOf: SetOf }): NftOperand {
  if ((typeof value === "string" && value.startsWith("@")) || (isObject(value) && value["set"] !== undefined))
    return { kind: "set", set: setReferenceOf(value, { key: left, setOf, isMap: false }) };
  // Whether a route exists is said of `fib … oif` by true and false, in the words of the text.
  const presence = left.kind === "fib" && typeof value === "boolean" ? (value ? "exists" : "missing") : value;
  return { kind: "value", parts: partsOf(presence, typesOf(left, setOf)) };
}

/** Set on a connection without consequence for where its packets go. */
const INERT_CT: readonly string[] = ["event", "label", "secmark"];

function mangleOf(mangle: JsonObject, setOf: SetOf): NftStatement {
  const target = expressionOf(mangle["key"], setOf);
  if (target.kind === "ct" && INERT_CT.includes(target.key)) {
    const values: readonly unknown[] = Array.isArray(mangle["value"]) ? mangle["value"] : [mangle["value"]];
    return { kind: "inert", text: `ct ${target.key} set ${values.map(String).join(",")}` };
  }
  return { kind: "set", target, value: expressionOf(mangle["value"], setOf, typesOf(target, setOf)) };
}

function natOf(type: "dnat" | "snat", nat: JsonObject, setOf: SetOf): NftStatement {
  const family = nat["family"] === "ip" ? 4 : nat["family"] === "ip6" ? 6 : undefined;
  const hint = family === undefined ? [] : [family === 4 ? "ipv4_addr" : "ipv6_addr", "inet_service"];
  const address = nat["addr"] === undefined ? undefined : expressionOf(nat["addr"], setOf, hint);
  const ports = nat["port"] === undefined ? undefined : expressionOf(nat["port"], setOf, ["inet_service"]);
  return {
    kind: "nat",
    type,
    ...(family === undefined ? {} : { family }),
    ...(address === undefined ? {} : { address }),
    ...(ports === undefined ? {} : { ports }),
    isNetmap: textsIn(nat["flags"]).includes("netmap") || textsIn(nat["type_flags"]).includes("prefix"),
    ...natFlags(nat),
  };
}

function natFlags(nat: JsonObject): NftNatFlags {
  const flags = textsIn(nat["flags"]);
  return {
    random: flags.includes("random"),
    fullyRandom: flags.includes("fully-random"),
    persistent: flags.includes("persistent"),
  };
}

function rejectOf(content: unknown): string {
  if (!isObject(content)) return "icmpx port-unreachable";
  const type = content["type"] === undefined ? "icmpx" : textIn(content, "type");
  return type === "tcp reset"
    ? type
    : `${type} ${content["expr"] === undefined ? "port-unreachable" : textIn(content, "expr")}`;
}

function counterOf(content: unknown): NftStatement {
  if (typeof content === "string") return { kind: "counter", name: content };
  if (!isObject(content)) return { kind: "counter" };
  const [packets, bytes] = [numberIn(content, "packets"), numberIn(content, "bytes")];
  return packets === undefined || bytes === undefined
    ? { kind: "counter" }
    : { kind: "counter", packets: BigInt(packets), bytes: BigInt(bytes) };
}

function updateOf(update: JsonObject, setOf: SetOf, kind: "set" | "map"): NftStatement {
  const operation = (["add", "update", "delete"] as const).find((one) => one === update["op"]);
  if (operation === undefined) throw new JsonFault(`${shown(update["op"])} is nothing to do to a set`);
  const set = textIn(update, kind).replace(/^@/, "");
  const known = setOf(set);
  const element = objectIn(update, "an update")["elem"];
  const isWrapped = isObject(element) && element["elem"] !== undefined;
  const inner = isWrapped ? objectIn(element["elem"], "an element") : {};
  const seconds = numberIn(inner, "timeout");
  const data = update["data"] === undefined ? undefined : expressionOf(update["data"], setOf, known?.dataTypes);
  const statements: readonly unknown[] = Array.isArray(update["stmt"]) ? update["stmt"] : [];
  const gate = statements.map((one) => statementOf(one, setOf)).find((one) => one.kind === "gate");
  return {
    kind: "update",
    operation,
    set,
    key: expressionOf(isWrapped ? inner["val"] : element, setOf, known?.keyTypes ?? [UNKNOWN_TYPE]),
    ...(data === undefined ? {} : { data }),
    ...(seconds === undefined ? {} : { timeoutMs: seconds * 1000 }),
    ...(gate?.kind === "gate" ? { gate: gate.text } : {}),
  };
}

/** A statement of a few settings, in the words of nft's text: `limit rate 10/second`. */
function clauseOf(kind: string, content: unknown): string {
  if (!isObject(content)) return content === null ? kind : `${kind} name "${String(content)}"`;
  const over = content["inv"] === true ? "over " : "";
  const unit = (key: string) => (typeof content[key] === "string" ? ` ${content[key]}` : "");
  switch (kind) {
    case "limit":
      return `limit rate ${over}${content["rate"]}${unit("rate_unit")}/${content["per"]}`;
    case "quota":
      return `quota ${over}${content["val"]}${unit("val_unit")}`;
    case "ct count":
      return `ct count ${over}${content["val"]}`;
    default:
      return [kind, ...Object.entries(content).map(([name, value]) => `${name} ${quotedText(value)}`)].join(" ");
  }
}

function quotedText(value: unknown): string {
  return typeof value === "string" || typeof value === "object" ? shown(value) : String(value);
}
