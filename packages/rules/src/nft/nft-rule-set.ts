/** Native nftables rules as values: what `nft list ruleset` shows. Tables, chains and rules stand in the listing's order. */
export interface NftRuleSet {
  readonly tables: readonly NftTable[];
  /** The nft that listed them, as `1.0.6`; undefined where the listing does not say. */
  readonly version?: string;
}

export const NFT_FAMILIES = ["ip", "ip6", "inet", "arp", "bridge", "netdev"] as const;
/** Whose packets a table sees; `inet`: both IP families. */
export type NftFamily = (typeof NFT_FAMILIES)[number];

export interface NftTable {
  readonly family: NftFamily;
  readonly name: string;
  /** `flags dormant`: none of its chains is asked. */
  readonly isDormant: boolean;
  readonly chains: readonly NftChain[];
  /** Sets and maps by name. */
  readonly sets: ReadonlyMap<string, NftSet>;
  /** What of the table could not be read beside rules, which say it themselves. */
  readonly unread: readonly NftUnread[];
}

export interface NftUnread {
  /** As the listing has it, perhaps shortened. */
  readonly text: string;
  /** Why, in half a sentence: `the statement is not known`. */
  readonly because: string;
}

export interface NftChain {
  readonly name: string;
  /** Set for base chains. */
  readonly base?: NftBase;
  readonly rules: readonly NftRule[];
}

export const NFT_HOOKS = ["ingress", "prerouting", "input", "forward", "output", "postrouting", "egress"] as const;
export type NftHook = (typeof NFT_HOOKS)[number];

/** How a base chain hangs in the kernel. */
export interface NftBase {
  readonly type: "filter" | "nat" | "route";
  readonly hook: NftHook;
  /** The lower, the earlier. */
  readonly priority: number;
  readonly policy: "accept" | "drop";
  /** Of the hooks `ingress` and `egress`. */
  readonly devices?: readonly string[];
}

export interface NftRule {
  /** Asked and carried out in this order, until one does not hold. */
  readonly statements: readonly NftStatement[];
  /** As `nft list ruleset` prints it, without handle and counters' comment. */
  readonly text: string;
  readonly comment?: string;
}

/**
 * A value of a header field, of a mark, of a map: a number where it is one, else its text: an address in canonical text, an
 * interface's name (a final `*` stands for any rest), a name that nft has for something (`local`, `ipv4`).
 */
export type Datum = number | string;

/** Both ends included. */
export interface DatumRange {
  readonly from: Datum;
  readonly to: Datum;
}

/** One part of a key, or of what a map gives. */
export type DatumPart = Datum | DatumRange;

export type NftExpression =
  /** A header field: `ip saddr`, `tcp dport`, `th dport`, `icmp type`, … */
  | { readonly kind: "payload"; readonly header: string; readonly field: string }
  /** Bits of a header: `@th,16,16`. */
  | { readonly kind: "bits"; readonly base: string; readonly offset: number; readonly length: number }
  | { readonly kind: "meta"; readonly key: string }
  | { readonly kind: "ct"; readonly key: string; readonly direction?: "original" | "reply" }
  /** `fib daddr . iif type`. */
  | { readonly kind: "fib"; readonly flags: readonly string[]; readonly result: string }
  | { readonly kind: "numgen"; readonly mode: "random" | "inc"; readonly modulus: number; readonly offset: number }
  /** Without a seed the kernel drew one when the rule was loaded. */
  | {
      readonly kind: "jhash";
      readonly of: NftExpression;
      readonly modulus: number;
      readonly seed?: number;
      readonly offset: number;
    }
  | { readonly kind: "symhash"; readonly modulus: number; readonly offset: number }
  | {
      readonly kind: "bitwise";
      readonly operator: "&" | "|" | "^" | "<<" | ">>";
      readonly left: NftExpression;
      readonly right: NftExpression;
    }
  | { readonly kind: "concat"; readonly parts: readonly NftExpression[] }
  /** What a map gives for a key; a key that it lacks ends the rule. */
  | { readonly kind: "lookup"; readonly key: NftExpression; readonly map: NftSetReference }
  /** Several parts where it stands for a concatenation. */
  | { readonly kind: "literal"; readonly parts: readonly DatumPart[] }
  /** Known to be a value, and nothing more: a TCP option, a socket's mark, an extension header. */
  | { readonly kind: "other"; readonly text: string };

/** A named set or map of the table, or one that stands in the rule itself. */
export type NftSetReference =
  | { readonly kind: "named"; readonly name: string }
  | { readonly kind: "anonymous"; readonly elements: readonly NftElement[] };

export interface NftSet {
  readonly name: string;
  readonly isMap: boolean;
  /** nft's names of the key's parts: `ipv4_addr`, `inet_service`, …; `unknown` where they could not be told. */
  readonly keyTypes: readonly string[];
  /** Of what a map gives; `verdict` for verdict maps. */
  readonly dataTypes: readonly string[];
  /** `interval`, `timeout`, `dynamic`, `constant`. */
  readonly flags: readonly string[];
  readonly timeoutMs?: number;
  /** How many elements fit, where that is said. */
  readonly size?: number;
  readonly elements: readonly NftElement[];
  /** Whether rules may write it as packets pass: then the elements are those of the moment of the listing. */
  readonly isDynamic: boolean;
  /** Why the elements are not all known. */
  readonly unread?: NftUnread;
}

export interface NftElement {
  /** Empty for the catch-all `*`. */
  readonly key: readonly DatumPart[];
  readonly data?: NftData;
  /** What it had counted when it was listed; absent where it counts nothing, or the listing does not say. */
  readonly counters?: { readonly packets: number; readonly bytes: number };
  readonly comment?: string;
}

export type NftData =
  | { readonly kind: "value"; readonly parts: readonly DatumPart[] }
  | { readonly kind: "verdict"; readonly verdict: NftVerdict };

export type NftVerdict =
  | { readonly kind: "accept" | "drop" | "continue" | "return" }
  /** `jump` comes back, `goto` to the caller of this chain. */
  | { readonly kind: "jump" | "goto"; readonly chain: string };

/** `any`: a bit of the flags is set (`ct state new`); `none`: none is (`ct status ! dnat`). */
export type NftComparison = "==" | "!=" | "<" | ">" | "<=" | ">=" | "any" | "none";

export type NftOperand =
  | { readonly kind: "value"; readonly parts: readonly DatumPart[] }
  | { readonly kind: "set"; readonly set: NftSetReference };

export interface NftMatch {
  readonly kind: "match";
  readonly left: NftExpression;
  readonly comparison: NftComparison;
  readonly right: NftOperand;
}

/** What dnat, snat, masquerade and redirect have in common. */
export interface NftNatFlags {
  readonly random: boolean;
  readonly fullyRandom: boolean;
  readonly persistent: boolean;
}

export type NftStatement =
  | NftMatch
  | { readonly kind: "verdict"; readonly verdict: NftVerdict }
  /** A key that the map lacks ends the rule. */
  | { readonly kind: "vmap"; readonly key: NftExpression; readonly map: NftSetReference }
  /** `meta mark set …`, `ct mark set …`, `ip dscp set …`. */
  | { readonly kind: "set"; readonly target: NftExpression; readonly value: NftExpression }
  | ({
      readonly kind: "nat";
      readonly type: "dnat" | "snat";
      /** Undefined: the table's. */
      readonly family?: 4 | 6;
      /** Gives one part, or address and port. */
      readonly address?: NftExpression;
      readonly ports?: NftExpression;
      /** Networks are mapped onto networks, host bits kept. */
      readonly isNetmap: boolean;
    } & NftNatFlags)
  | ({ readonly kind: "masquerade" | "redirect"; readonly ports?: NftExpression } & NftNatFlags)
  /** `tcp reset`, `icmp port-unreachable`, `icmpv6 …`, `icmpx …`. */
  | { readonly kind: "reject"; readonly with: string }
  | { readonly kind: "notrack" }
  | { readonly kind: "counter"; readonly packets?: bigint; readonly bytes?: bigint; readonly name?: string }
  /** Writes a set or map as the packet passes. */
  | {
      readonly kind: "update";
      readonly operation: "add" | "update" | "delete";
      readonly set: string;
      readonly key: NftExpression;
      readonly data?: NftExpression;
      readonly timeoutMs?: number;
      /** A limit or a count that each element has; the rule goes on where it holds. */
      readonly gate?: string;
    }
  /** A condition that changes with every packet: a limit, a quota, a count of connections. */
  | { readonly kind: "gate"; readonly text: string }
  /** Changes neither the packet nor its way: `log`, `last`, `ct event set`, … */
  | { readonly kind: "inert"; readonly text: string }
  /** Sends a copy elsewhere, and the packet on: `dup to …`. */
  | { readonly kind: "copy"; readonly text: string }
  /** Takes the packet out of netfilter's hands: `queue`, `tproxy`, `synproxy`, `fwd`. */
  | { readonly kind: "handover"; readonly text: string }
  /** Not understood: it, and all behind it in the rule, may do anything. */
  | ({ readonly kind: "unread" } & NftUnread);
