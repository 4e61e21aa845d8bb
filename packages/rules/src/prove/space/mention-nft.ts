import { familyOf, parseIpAddress } from "@svcproxy/topology";
import type {
  Datum,
  DatumPart,
  NftElement,
  NftExpression,
  NftRuleSet,
  NftSetReference,
  NftStatement,
} from "../../nft/nft-rule-set.ts";
import type { AddressSpaceBuilder } from "./address-space.ts";

/** Cuts the addresses wherever a rule, a set or a map of nftables tells them apart or leads to one. */
export function mentionNft(builder: AddressSpaceBuilder, { tables }: NftRuleSet): void {
  for (const { family, sets, chains } of tables) {
    if (family === "arp") continue;
    for (const { elements } of sets.values()) mentionElements(builder, elements);
    for (const { rules } of chains)
      for (const { statements } of rules) for (const statement of statements) mentionStatement(builder, statement);
  }
}

function mentionElements(builder: AddressSpaceBuilder, elements: readonly NftElement[]): void {
  for (const { key, data } of elements) {
    mentionParts(builder, key);
    if (data?.kind === "value") mentionParts(builder, data.parts);
  }
}

function mentionParts(builder: AddressSpaceBuilder, parts: readonly DatumPart[]): void {
  for (const part of parts) {
    if (typeof part === "object") mentionRange(builder, part.from, part.to);
    else if (typeof part === "string") mentionRange(builder, part, part);
  }
}

function mentionRange(builder: AddressSpaceBuilder, from: Datum, to: Datum): void {
  if (typeof from !== "string" || typeof to !== "string" || !/^[0-9a-f.:]+$/.test(from)) return;
  const [first, last] = [parseIpAddress(from), parseIpAddress(to)];
  if (first === undefined || last === undefined) return;
  if (familyOf(first) === builder.family && familyOf(last) === builder.family) builder.addRange(first, last);
}

function mentionStatement(builder: AddressSpaceBuilder, statement: NftStatement): void {
  switch (statement.kind) {
    case "match":
      mentionExpression(builder, statement.left);
      if (statement.right.kind === "value") mentionParts(builder, statement.right.parts);
      else mentionReference(builder, statement.right.set);
      return;
    case "vmap":
      mentionExpression(builder, statement.key);
      mentionReference(builder, statement.map);
      return;
    case "set":
      mentionExpression(builder, statement.value);
      return;
    case "nat":
      if (statement.address !== undefined) mentionExpression(builder, statement.address);
      return;
    case "update":
      mentionExpression(builder, statement.key);
      if (statement.data !== undefined) mentionExpression(builder, statement.data);
      return;
    default:
      return;
  }
}

function mentionExpression(builder: AddressSpaceBuilder, expression: NftExpression): void {
  switch (expression.kind) {
    case "literal":
      mentionParts(builder, expression.parts);
      return;
    case "concat":
      for (const part of expression.parts) mentionExpression(builder, part);
      return;
    case "lookup":
      mentionExpression(builder, expression.key);
      mentionReference(builder, expression.map);
      return;
    case "bitwise":
      mentionExpression(builder, expression.left);
      mentionExpression(builder, expression.right);
      return;
    default:
      return;
  }
}

function mentionReference(builder: AddressSpaceBuilder, reference: NftSetReference): void {
  if (reference.kind === "anonymous") mentionElements(builder, reference.elements);
}
