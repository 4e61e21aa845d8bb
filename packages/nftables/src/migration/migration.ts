import type { PlacedRule, ProofPacket } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";
import type { DifferenceKind } from "./difference-kinds.ts";

/** What becomes of a host when kube-proxy goes from its iptables mode to that of nftables. */
export interface Migration {
  readonly verdict: MigrationVerdict;
  /** Each kind once a family. */
  readonly differences: readonly MigrationDifference[];
  readonly undecided: readonly UndecidedPackets[];
  readonly requirements: readonly Requirement[];
  /** How many kinds of packets were looked at, in all families. */
  readonly cases: number;
}

/**
 * `ready`: nothing that somebody uses, or may use, stops or changes, and the host has what it must. What the mode does otherwise by design,
 * and what stops and was never used, is told and counts for nothing. `not ready`: something may stop or change, or is missing. `undecided`:
 * neither was found, but not all of it could be decided or looked at.
 */
export type MigrationVerdict = "ready" | "not ready" | "undecided";

export interface MigrationDifference {
  readonly kind: DifferenceKind;
  readonly family: Family;
  /** One that shows it. */
  readonly packet: ProofPacket;
  /** What becomes of it, in words. */
  readonly before: string;
  readonly after: string;
  /** `namespace/name` of the services that it concerns; empty: none of them. */
  readonly services: readonly string[];
  readonly traffic: Traffic;
}

export interface UndecidedPackets {
  readonly family: Family;
  readonly packet: ProofPacket;
  readonly because: string;
}

/** What uses today what will be different, as far as it was counted. */
export type Traffic =
  | { readonly kind: "unknown" }
  /** At most so many packets, for NAT connections, since kube-proxy last wrote the rules that counted them. */
  | { readonly kind: "counted"; readonly packets: number; readonly by: readonly CountingRule[] };

export interface CountingRule {
  /** The rule, or the accounting object (`nfacct`) that outlives it. */
  readonly source: Pick<PlacedRule, "table" | "chain" | "number"> | { readonly accounting: string };
  readonly packets: number;
}

/** Something that the host must have, or must not have, for kube-proxy's nftables mode. */
export interface Requirement {
  readonly name: RequirementName;
  readonly status: "met" | "missing" | "unknown";
  /** A sentence: what was found. */
  readonly text: string;
  /** What to do, or where to look; absent where it is met. */
  readonly hint?: string;
}

export type RequirementName =
  | "kernel"
  | "nft"
  | "conntrack-liberal"
  | "ipvs-left-overs"
  | "other-variant"
  | "foreign-jumps"
  | "kube-proxy-version"
  | "interface-prefix"
  | "own-load-balancers"
  | "affinity"
  | "service-range";

/** What accounting objects counted, by their names. */
export type Accounting = ReadonlyMap<string, number>;
