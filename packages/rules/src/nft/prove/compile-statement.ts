import { unreachable } from "@svcproxy/topology";
import { ALL_PORTS, type CompileContext, type Condition, NEVER } from "../../prove/compile/condition.ts";
import { type IndexSet, rangeSet, singleSet } from "../../prove/space/index-set.ts";
import { formatExpression, formatStatement } from "../format-nft-rule.ts";
import { isIdleSet, staleChecksum } from "../idle-set.ts";
import type { DatumPart, NftElement, NftExpression, NftMatch, NftStatement, NftTable } from "../nft-rule-set.ts";
import type { AssignTarget, LookupReading, NftStep, Reading } from "./compiled-nft.ts";
import { entered, numbersWhere, openOf } from "./condition-parts.ts";
import { onlyLevel } from "./lookup-tree.ts";
import { headerConditions, readConditions } from "./read-conditions.ts";
import type { Readings } from "./readings.ts";

interface Compiling {
  readonly context: CompileContext;
  readonly table: NftTable;
  readonly readings: Readings;
}

/** The steps that a statement stands for; none for what only counts or logs. */
export function compileStatement(statement: NftStatement, compiling: Compiling): readonly NftStep[] {
  const { readings, context } = compiling;
  const read = (expression: NftExpression | undefined) =>
    expression === undefined ? undefined : readings.of(expression);
  switch (statement.kind) {
    case "match":
      return compileMatch(statement, compiling);
    case "gate":
      return [conditions([unknownGate(statement.text)])];
    case "verdict":
      return statement.verdict.kind === "continue" ? [] : [{ kind: "verdict", verdict: statement.verdict }];
    case "vmap":
      return [{ kind: "verdicts", lookup: readings.lookup(statement.key, statement.map) }];
    case "set":
      return compileSet(statement, compiling);
    case "nat": {
      const { family, address, ports, isNetmap, random, fullyRandom, persistent } = statement;
      const isOther = family !== undefined && family !== context.space.family;
      if (isOther || (address === undefined && ports === undefined)) return [conditions(NEVER)];
      const flags = { random, fullyRandom, persistent };
      return [{ kind: "nat", type: statement.type, address: read(address), ports: read(ports), isNetmap, flags }];
    }
    case "masquerade":
    case "redirect": {
      const { random, fullyRandom, persistent } = statement;
      return [{ kind: statement.kind, ports: read(statement.ports), flags: { random, fullyRandom, persistent } }];
    }
    case "reject":
      return [conditions(rejectConditions(statement.with, context)), { kind: "reject", with: statement.with }];
    case "notrack":
      return [{ kind: "notrack" }];
    case "counter":
    case "inert":
      return [];
    case "update":
      return compileUpdate(statement, compiling);
    case "copy":
      return [{ kind: "deed", text: statement.text }];
    case "handover":
      return undecided(`\`${statement.text}\` hands it over to somebody else`);
    case "unread":
      return undecided(`\`${statement.text}\` was not read: ${statement.because}`);
    default:
      return unreachable(statement);
  }
}

function conditions(conditions: readonly Condition[]): NftStep {
  return { kind: "conditions", conditions };
}

function undecided(because: string): readonly NftStep[] {
  return [{ kind: "undecided", because }];
}

function unknownGate(text: string): Condition {
  return { kind: "unknown", open: openOf(text, { isVolatile: true }) };
}

/** An answer that is of another family than the packet, or no TCP's, is not sent: nft asks for it before, without a word. */
function rejectConditions(how: string, { space }: CompileContext): readonly Condition[] {
  if (how === "tcp reset") return [entered("protocol", singleSet(6))];
  return (how.startsWith("icmp ") && space.family === 6) || (how.startsWith("icmpv6 ") && space.family === 4)
    ? NEVER
    : [];
}

function compileMatch(match: NftMatch, compiling: Compiling): readonly NftStep[] {
  const known = readConditions(match, compiling.context);
  if (known !== undefined) return [conditions(known)];
  const { left, right, comparison } = match;
  if (right.kind === "set") {
    const lookup = compiling.readings.lookup(left, right.set);
    return [asCondition(lookup, comparison === "!=") ?? { kind: "member", lookup, negated: comparison === "!=" }];
  }
  const key = compiling.readings.of(left);
  const elements = elementsWhere(match, right.parts, key);
  if (elements === undefined) return [conditions([{ kind: "unknown", open: openOf(formatStatement(match)) }])];
  const lookup: LookupReading = {
    ...{ kind: "lookup", key, dynamic: undefined, name: formatStatement(match), unread: undefined },
    ...compiling.readings.trees(key, elements.list),
  };
  return [{ kind: "member", lookup, negated: elements.negated }];
}

/** The keys for which a comparison holds, or (`negated`) does not. */
function elementsWhere(
  { comparison }: NftMatch,
  parts: readonly DatumPart[],
  key: Reading,
): { readonly list: readonly NftElement[]; readonly negated: boolean } | undefined {
  if (comparison === "==" || comparison === "!=") return { list: [{ key: parts }], negated: comparison === "!=" };
  const [part, ...others] = parts;
  const [only] = key.kind === "parts" ? key.parts : [];
  if (part === undefined || others.length > 0 || only === undefined) return undefined;
  const set = numbersWhere(comparison, part, only.kind === "field" ? ALL_PORTS : rangeSet(0, 2 ** 32));
  if (set === undefined) return undefined;
  return { list: rangesOf(set).map((range) => ({ key: [range] })), negated: false };
}

function rangesOf(set: IndexSet): readonly DatumPart[] {
  return Array.from({ length: set.length / 2 }, (_, at) => ({
    from: set[2 * at] ?? 0,
    to: (set[2 * at + 1] ?? 1) - 1,
  }));
}

/** A set of addresses, ports or protocols is a condition on a field. */
function asCondition({ key, tree, dynamic, unread }: LookupReading, negated: boolean): NftStep | undefined {
  if (dynamic !== undefined || unread !== undefined || negated || key.kind !== "parts") return undefined;
  const [part, ...others] = key.parts;
  const set = onlyLevel(tree);
  if (part === undefined || others.length > 0 || set === undefined) return undefined;
  if (part.kind === "field" && !part.isTh)
    return conditions([...key.conditions, { kind: "field", field: part.field, set }]);
  if (part.kind === "entered" && part.field !== "state")
    return conditions([...key.conditions, { kind: "entered", field: part.field, set }]);
  if (part.kind === "connection")
    return conditions([...key.conditions, { kind: "connection", field: part.field, set, open: part.open }]);
  return undefined;
}

function compileSet(
  statement: Extract<NftStatement, { kind: "set" }>,
  { readings, context }: Compiling,
): readonly NftStep[] {
  const { target, value } = statement;
  const assign = (to: AssignTarget): readonly NftStep[] => [{ kind: "assign", to, value: readings.of(value) }];
  const what = formatExpression(target);
  switch (target.kind) {
    case "meta":
      if (target.key === "mark" || target.key === "priority") return assign(target.key);
      return isIdleSet(statement) ? [] : undecided(`what \`${what} set\` does is not known`);
    case "ct":
      if (target.key === "mark") return assign("connectionMark");
      if (target.key === "zone") return [{ kind: "zone", value: readings.of(value), direction: target.direction }];
      return undecided(`what \`${what} set\` does is not known`);
    case "payload": {
      const { header, field } = target;
      const needed = headerConditions(header, context) ?? [];
      if (field === "dscp") return [conditions(needed), ...assign("dscp")];
      if (field === "ttl" || field === "hoplimit") return [conditions(needed), ...assign("ttl")];
      if (isIdleSet(statement)) return [conditions(needed)];
      const open = staleChecksum(target) ?? `what becomes of its answers after \`${what} set\` is not followed`;
      return [conditions(needed), ...undecided(open)];
    }
    case "other":
      // An option of TCP, most often its largest segment, changes no way; nft asks for TCP before, without a word.
      if (target.text.startsWith("tcp option ")) return [conditions([entered("protocol", singleSet(6))])];
      return undecided(`what \`${what} set\` does is not known`);
    default:
      return undecided(`what \`${what} set\` does is not known`);
  }
}

function compileUpdate(
  { operation, set: name, key, data, gate }: Extract<NftStatement, { kind: "update" }>,
  { table, readings }: Compiling,
): readonly NftStep[] {
  const set = table.sets.get(name);
  if (set === undefined) return undecided(`the set ${name} is not known`);
  const isFull = operation !== "delete" && set.size !== undefined && set.elements.length >= set.size;
  const step: NftStep = {
    ...{ kind: "update", operation, key: readings.of(key), set: readings.dynamic(set) },
    data: data === undefined ? undefined : readings.of(data),
    full: isFull ? openOf(`whether @${name} is full`, { isVolatile: true }) : undefined,
  };
  // What is over an element's limit ends the rule, though the element stands.
  return gate === undefined ? [step] : [step, conditions([unknownGate(gate)])];
}
