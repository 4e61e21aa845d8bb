import type { Family } from "@svcproxy/topology";
import type { Match } from "./match.ts";
import type { Target } from "./target.ts";

/** The rules of one family as values. Chain and rule order is the kernel's. */
export interface RuleSet {
  readonly family: Family;
  readonly tables: readonly Table[];
}

export interface Table {
  /** `raw`, `mangle`, `nat`, `filter`, `security`; kept as read. */
  readonly name: string;
  readonly chains: readonly Chain[];
}

export interface Chain {
  readonly name: string;
  /** Set for built-in chains only: what happens at their end. */
  readonly policy?: "ACCEPT" | "DROP";
  readonly counters?: Counters;
  readonly rules: readonly Rule[];
}

export interface Counters {
  readonly packets: bigint;
  readonly bytes: bigint;
}

export interface Rule {
  /** In the order written; all must hold. */
  readonly matches: readonly Match[];
  readonly target: Target;
  readonly counters?: Counters;
}

/** netfilter's hooks by the name of their built-in chains. */
export type Hook = "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING";

/** Built-in chains by table, in the order in which iptables-save lists them. */
export const BUILT_IN_CHAINS: Readonly<Record<string, readonly string[]>> = {
  raw: ["PREROUTING", "OUTPUT"],
  mangle: ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
  nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
  filter: ["INPUT", "FORWARD", "OUTPUT"],
  security: ["INPUT", "FORWARD", "OUTPUT"],
};

/** `XT_EXTENSION_MAXNAMELEN` less one: iptables refuses longer chain names. */
export const CHAIN_NAME_MAX_LENGTH = 28;

/** Where a rule stands. */
export interface RulePosition {
  readonly table: string;
  readonly chain: string;
  /** 1-based, as `iptables -L --line-numbers` counts. */
  readonly number: number;
}
