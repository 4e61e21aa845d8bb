import type {
  DatumPart,
  NftElement,
  NftExpression,
  NftMatch,
  NftNatFlags,
  NftSetReference,
  NftStatement,
  NftVerdict,
} from "./nft-rule-set.ts";

/** Statements as `nft list ruleset` would print them; values are plain numbers and addresses. */
export function formatStatements(statements: readonly NftStatement[]): string {
  return statements.map(formatStatement).join(" ");
}

export function formatStatement(statement: NftStatement): string {
  switch (statement.kind) {
    case "match":
      return formatMatch(statement);
    case "verdict":
      return formatVerdict(statement.verdict);
    case "vmap":
      return `${formatExpression(statement.key)} vmap ${formatReference(statement.map)}`;
    case "set":
      return `${formatExpression(statement.target)} set ${formatExpression(statement.value)}`;
    case "nat":
      return formatNat(statement);
    case "masquerade":
    case "redirect": {
      const ports = statement.ports === undefined ? "" : ` to :${formatExpression(statement.ports)}`;
      return `${statement.kind}${ports}${formatFlags(statement)}`;
    }
    case "reject":
      return / port-unreachable$/.test(statement.with) ? "reject" : `reject with ${statement.with}`;
    case "notrack":
      return "notrack";
    case "counter":
      return statement.name === undefined ? "counter" : `counter name "${statement.name}"`;
    case "update":
      return formatUpdate(statement);
    case "gate":
    case "inert":
    case "copy":
    case "handover":
    case "unread":
      return statement.text;
  }
}

export function formatVerdict(verdict: NftVerdict): string {
  return "chain" in verdict ? `${verdict.kind} ${verdict.chain}` : verdict.kind;
}

function formatMatch({ left, comparison, right }: NftMatch): string {
  const operand = right.kind === "set" ? formatReference(right.set) : formatParts(right.parts);
  switch (comparison) {
    case "any":
      return `${formatExpression(left)} ${operand}`;
    case "none":
      return `${formatExpression(left)} ! ${operand}`;
    case "==":
      return `${formatExpression(left)} ${left.kind === "bitwise" ? "== " : ""}${operand}`;
    default:
      return `${formatExpression(left)} ${comparison} ${operand}`;
  }
}

export function formatExpression(expression: NftExpression): string {
  switch (expression.kind) {
    case "payload":
      return `${expression.header} ${expression.field}`;
    case "bits":
      return `@${expression.base},${expression.offset},${expression.length}`;
    case "meta":
      return `meta ${expression.key}`;
    case "ct":
      return ["ct", expression.direction, expression.key].filter((word) => word !== undefined).join(" ");
    case "fib":
      return `fib ${expression.flags.join(" . ")} ${expression.result}`;
    case "numgen":
      return `numgen ${expression.mode} mod ${expression.modulus}${formatOffset(expression)}`;
    case "jhash": {
      const seed = expression.seed === undefined ? "" : ` seed 0x${expression.seed.toString(16)}`;
      return `jhash ${formatExpression(expression.of)} mod ${expression.modulus}${seed}${formatOffset(expression)}`;
    }
    case "symhash":
      return `symhash mod ${expression.modulus}${formatOffset(expression)}`;
    case "bitwise":
      return `${formatExpression(expression.left)} ${expression.operator} ${formatOperand(expression.right)}`;
    case "concat":
      return expression.parts.map(formatExpression).join(" . ");
    case "lookup":
      return `${formatExpression(expression.key)} map ${formatReference(expression.map)}`;
    case "literal":
      return formatParts(expression.parts);
    case "other":
      return expression.text;
  }
}

/** Masks and bits are read in hex. */
function formatOperand(expression: NftExpression): string {
  if (expression.kind !== "literal") return formatExpression(expression);
  return expression.parts
    .map((part) => (typeof part === "number" ? `0x${part.toString(16)}` : formatPart(part)))
    .join(" . ");
}

function formatOffset({ offset }: { readonly offset: number }): string {
  return offset === 0 ? "" : ` offset ${offset}`;
}

function formatParts(parts: readonly DatumPart[]): string {
  return parts.map(formatPart).join(" . ");
}

export function formatPart(part: DatumPart): string {
  return typeof part === "object" ? `${part.from}-${part.to}` : String(part);
}

/** So many elements of a set in a rule are shown. */
const SHOWN_ELEMENTS = 20;

function formatReference(reference: NftSetReference): string {
  if (reference.kind === "named") return `@${reference.name}`;
  const { elements } = reference;
  const more = elements.length > SHOWN_ELEMENTS ? ", …" : "";
  return `{ ${elements.slice(0, SHOWN_ELEMENTS).map(formatElement).join(", ")}${more} }`;
}

function formatElement({ key, data }: NftElement): string {
  const name = key.length === 0 ? "*" : formatParts(key);
  if (data === undefined) return name;
  return `${name} : ${data.kind === "verdict" ? formatVerdict(data.verdict) : formatParts(data.parts)}`;
}

function formatNat(nat: Extract<NftStatement, { readonly kind: "nat" }>): string {
  const family = nat.family === undefined ? "" : nat.family === 4 ? " ip" : " ip6";
  const address = nat.address === undefined ? "" : formatExpression(nat.address);
  const isBare = nat.address?.kind === "literal" && address.includes(":");
  const ports = nat.ports === undefined ? "" : `:${formatExpression(nat.ports)}`;
  const to = ports !== "" && isBare ? `[${address}]${ports}` : `${address}${ports}`;
  return `${nat.type}${family}${nat.isNetmap ? " prefix" : ""} to ${to}${formatFlags(nat)}`;
}

function formatFlags({ random, fullyRandom, persistent }: NftNatFlags): string {
  const flags = [random ? "random" : "", fullyRandom ? "fully-random" : "", persistent ? "persistent" : ""].filter(
    (flag) => flag !== "",
  );
  return flags.length === 0 ? "" : ` ${flags.join(",")}`;
}

function formatUpdate(update: Extract<NftStatement, { readonly kind: "update" }>): string {
  const timeout = update.timeoutMs === undefined ? "" : ` timeout ${update.timeoutMs / 1000}s`;
  const gate = update.gate === undefined ? "" : ` ${update.gate}`;
  const data = update.data === undefined ? "" : ` : ${formatExpression(update.data)}`;
  return `${update.operation} @${update.set} { ${formatExpression(update.key)}${timeout}${gate}${data} }`;
}
