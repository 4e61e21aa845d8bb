import { type IpAddress, parseIpAddress } from "@svcproxy/topology";
import {
  ALL_PROTOCOLS,
  type CompileContext,
  type Condition,
  NEVER,
  type OpenQuestion,
} from "../../prove/compile/condition.ts";
import { type IndexSet, rangeSet, subtract } from "../../prove/space/index-set.ts";
import { formatStatement } from "../format-nft-rule.ts";
import type { DatumPart, NftComparison, NftMatch } from "../nft-rule-set.ts";

/** A match whose left side is compared with one value. */
export interface AskedMatch {
  readonly match: NftMatch;
  readonly part: DatumPart;
  readonly context: CompileContext;
}

export function openOf(text: string, { isVolatile = false }: { readonly isVolatile?: boolean } = {}): OpenQuestion {
  // What it looks at is not known: asked again after any change, it may answer otherwise.
  const reads = ["address", "port", "interface", "mark", "tos", "ttl", "connection", "connectionMark"] as const;
  return { text, reads, isVolatile };
}

/** What nobody can answer. */
export function unknown(match: NftMatch): readonly Condition[] {
  return [{ kind: "unknown", open: openOf(formatStatement(match)) }];
}

/** The numbers for which a comparison holds; undefined where it has no order or no numbers. */
export function numbersWhere(comparison: NftComparison, part: DatumPart, all: IndexSet): IndexSet | undefined {
  const { from, to } = typeof part === "object" ? part : { from: part, to: part };
  if (typeof from !== "number" || typeof to !== "number") return undefined;
  const end = all.at(-1) ?? 0;
  const within = rangeSet(Math.min(from, end), Math.min(to + 1, end));
  switch (comparison) {
    case "==":
      return within;
    case "!=":
      return subtract(all, within);
    case "<":
      return rangeSet(0, Math.min(from, end));
    case "<=":
      return rangeSet(0, Math.min(from + 1, end));
    case ">":
      return rangeSet(Math.min(from + 1, end), end);
    case ">=":
      return rangeSet(Math.min(from, end), end);
    default:
      return undefined;
  }
}

export function entered(field: Extract<Condition, { kind: "entered" }>["field"], set: IndexSet): Condition {
  return { kind: "entered", field, set };
}

export function protocolConditions({ match, part }: Pick<AskedMatch, "match" | "part">): readonly Condition[] {
  const set = numbersWhere(match.comparison, part, ALL_PROTOCOLS);
  return set === undefined ? unknown(match) : [entered("protocol", set)];
}

export function numberHolds(comparison: NftComparison, value: number, part: number): boolean {
  switch (comparison) {
    case "==":
      return value === part;
    case "!=":
      return value !== part;
    case "any":
      return (value & part) !== 0;
    case "none":
      return (value & part) === 0;
    case "<":
      return value < part;
    case "<=":
      return value <= part;
    case ">":
      return value > part;
    case ">=":
      return value >= part;
  }
}

/** The pieces of addresses for which a comparison holds. */
export function addressesWhere(
  comparison: NftComparison,
  part: DatumPart,
  { space }: CompileContext,
): IndexSet | undefined {
  const { from, to } = typeof part === "object" ? part : { from: part, to: part };
  const [first, last] = [addressIn(from, space.family), addressIn(to, space.family)];
  if (first === undefined || last === undefined) return undefined;
  const within = space.setBetween(first, last);
  const start = within[0] ?? 0;
  const end = within.at(-1) ?? 0;
  switch (comparison) {
    case "==":
      return within;
    case "!=":
      return subtract(space.everything, within);
    case "<":
      return rangeSet(0, start);
    case "<=":
      return rangeSet(0, end);
    case ">":
      return rangeSet(end, space.size);
    case ">=":
      return rangeSet(start, space.size);
    default:
      return undefined;
  }
}

function addressIn(datum: number | string, family: 4 | 6): IpAddress | undefined {
  const address = typeof datum === "string" ? parseIpAddress(datum) : undefined;
  return address !== undefined && address.includes(":") === (family === 6) ? address : undefined;
}

export function always(holds: boolean): readonly Condition[] {
  return holds ? [] : NEVER;
}

export function markConditions(
  kind: "mark" | "connectionMark",
  { match, part, mask }: { match: NftMatch; part: DatumPart; mask: number },
): readonly Condition[] | undefined {
  const { comparison } = match;
  if (typeof part !== "number") return undefined;
  if (comparison !== "==" && comparison !== "!=") return unknown(match);
  const negated = comparison === "!=";
  const hasConnection: readonly Condition[] =
    kind === "connectionMark" ? [{ kind: "hasConnection", holds: true, otherwise: false }] : [];
  // What the mask leaves out is never set.
  if ((part & ~mask) !== 0) return [...hasConnection, ...always(negated)];
  return [...hasConnection, { kind, cube: { care: mask, value: part }, negated }];
}
