import type { PlacedRule } from "../../hooks/any-rule.ts";
import type { Condition, OpenQuestion } from "../../prove/compile/condition.ts";
import type { AddressedField } from "../../prove/space/region.ts";
import type { MarkNow } from "../../prove/walk/symbolic-state.ts";
import type { Datum, DatumPart, DatumRange, NftElement, NftNatFlags, NftVerdict } from "../nft-rule-set.ts";
import type { LookupTree } from "./lookup-tree.ts";

/** A base chain of nftables, ready to be asked of sets of packets. */
export interface CompiledNftBase {
  readonly program: "nft";
  readonly table: string;
  readonly chain: CompiledNftChain;
  readonly policy: "ACCEPT" | "DROP";
  readonly chains: ReadonlyMap<string, CompiledNftChain>;
  readonly reroutes: boolean;
}

export interface CompiledNftChain {
  readonly name: string;
  readonly rules: readonly CompiledNftRule[];
}

export interface CompiledNftRule {
  readonly placed: PlacedRule;
  readonly steps: readonly NftStep[];
}

/** One statement. A step that does not hold ends the rule. */
export type NftStep =
  | { readonly kind: "conditions"; readonly conditions: readonly Condition[] }
  | { readonly kind: "member"; readonly lookup: LookupReading; readonly negated: boolean }
  | { readonly kind: "verdicts"; readonly lookup: LookupReading }
  | { readonly kind: "assign"; readonly to: AssignTarget; readonly value: Reading }
  | {
      readonly kind: "nat";
      readonly type: "dnat" | "snat";
      readonly address: Reading | undefined;
      readonly ports: Reading | undefined;
      readonly isNetmap: boolean;
      readonly flags: NftNatFlags;
    }
  | {
      readonly kind: "masquerade" | "redirect";
      readonly ports: Reading | undefined;
      readonly flags: NftNatFlags;
    }
  | { readonly kind: "verdict"; readonly verdict: NftVerdict }
  | { readonly kind: "reject"; readonly with: string }
  | { readonly kind: "notrack" }
  | { readonly kind: "zone"; readonly value: Reading; readonly direction: "original" | "reply" | undefined }
  | {
      readonly kind: "update";
      readonly operation: "add" | "update" | "delete";
      readonly set: DynamicSet;
      readonly key: Reading;
      readonly data: Reading | undefined;
      /** Set where the listing has as many elements as there is room for. */
      readonly full: OpenQuestion | undefined;
    }
  /** Done to others than the packet's way: a copy that is sent, a helper that is set. */
  | { readonly kind: "deed"; readonly text: string }
  | { readonly kind: "undecided"; readonly because: string };

export type AssignTarget = "mark" | "connectionMark" | "priority" | "dscp" | "ttl";

/** How the values of an expression are read from a state. */
export type Reading =
  | {
      readonly kind: "parts";
      /** What must hold for there to be a value at all. */
      readonly conditions: readonly Condition[];
      readonly parts: readonly PartReading[];
    }
  | LookupReading;

export interface LookupReading {
  readonly kind: "lookup";
  readonly key: Reading;
  readonly tree: LookupTree;
  /** The same elements, sorted by the parts of their keys in another order: that of the places given. */
  readonly treeBy: (order: readonly number[]) => LookupTree;
  /** Set where rules write the set as packets pass: what it holds is not known. */
  readonly dynamic: DynamicSet | undefined;
  /** For people: `@service-ips`. */
  readonly name: string;
  /** Why what it holds is not known. */
  readonly unread: string | undefined;
}

/** A set or map that rules write. */
export interface DynamicSet {
  /** With its table: `ip kube-proxy affinity-…`. */
  readonly name: string;
  /** How long what was written stays there, where all rules that write it say the same. */
  readonly seconds: number | undefined;
  /** Those of the moment of the listing. */
  readonly elements: readonly NftElement[];
  readonly isMap: boolean;
}

export type PartReading =
  /** A header field as it is now; `th`: of protocols without ports it is something else. */
  | { readonly kind: "field"; readonly field: AddressedField; readonly isTh: boolean }
  | { readonly kind: "entered"; readonly field: "protocol" | "state" }
  /** What conntrack remembers of the connection as it began. */
  | { readonly kind: "connection"; readonly field: AddressedField | "protocol"; readonly open: OpenQuestion }
  | { readonly kind: "mark" | "connectionMark" | "priority"; readonly operations: readonly BitOperation[] }
  | { readonly kind: "inInterface" | "outInterface" }
  /** What kind of address the routing tables have for it: `local`, `unicast`, … */
  | { readonly kind: "fibType"; readonly field: "source" | "destination" }
  /** A hash wide enough to stand for the source address. */
  | { readonly kind: "hashedSource" }
  | { readonly kind: "draw"; readonly modulus: number; readonly offset: number }
  | { readonly kind: "datum"; readonly datum: Datum }
  | { readonly kind: "range"; readonly range: DatumRange }
  | { readonly kind: "unknown"; readonly open: OpenQuestion };

export interface BitOperation {
  readonly operator: "&" | "|" | "^";
  readonly operand: number;
}

/** A mark after `&`, `|` and `^`, as a function of the mark with which the packet came. */
export function changedBits({ kept, flipped }: MarkNow, operations: readonly BitOperation[]): MarkNow {
  let now = { kept, flipped };
  for (const { operator, operand } of operations) {
    if (operator === "&") now = { kept: (now.kept & operand) >>> 0, flipped: (now.flipped & operand) >>> 0 };
    else if (operator === "^") now = { ...now, flipped: (now.flipped ^ operand) >>> 0 };
    else now = { kept: (now.kept & ~operand) >>> 0, flipped: (now.flipped | operand) >>> 0 };
  }
  return now;
}

export function changedNumber(value: number, operations: readonly BitOperation[]): number {
  return changedBits({ kept: 0, flipped: value }, operations).flipped;
}

export function constantPart(part: DatumPart): PartReading {
  return typeof part === "object" ? { kind: "range", range: part } : { kind: "datum", datum: part };
}
