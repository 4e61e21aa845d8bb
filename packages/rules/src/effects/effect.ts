/**
 * What an extension may look at or change. `anything` stands for all of them: so little is known of an extension of which
 * nothing is known.
 */
export type Subject =
  /** What NAT changes. */
  | "address"
  | "port"
  /** What else the headers say; `header` is all that has no name of its own here. */
  | "protocol"
  | "header"
  | "tos"
  | "ttl"
  | "length"
  | "payload"
  | "interface"
  | "bridgePort"
  | "linkAddress"
  /** The host's addresses and routes. */
  | "route"
  | "mark"
  /** What conntrack knows of the connection: its state, its addresses, how much it carried. */
  | "connection"
  | "connectionMark"
  | "connectionLabel"
  /** How conntrack is to see the packet: in which zone, with which helper, or not at all. */
  | "tracking"
  /** The members of ipsets, and the lists of `recent`. */
  | "set"
  | "recentList"
  /** Rates, quotas and other counts. */
  | "counter"
  | "socket"
  | "clock"
  /** For who queues the packet, and for SELinux. */
  | "priority"
  | "security"
  /** Further packets, and what is written about this one. */
  | "copy"
  | "log"
  | "anything";

/**
 * What decides an answer beside what is read: `pure` nothing, `random` a draw, `stateful` what was asked before, so that
 * asking changes later answers, `unknown` nobody knows.
 */
export type Certainty = "pure" | "random" | "stateful" | "unknown";

export interface MatchEffect {
  readonly reads: readonly Subject[];
  readonly changes: readonly Subject[];
  readonly certainty: Certainty;
  /** Whether the kernel asks it before all extensions, wherever it stands in the rule. */
  readonly isHeader: boolean;
  /** Whether a rule that has it makes the kernel track connections. */
  readonly tracks: boolean;
}

export interface TargetEffect {
  readonly reads: readonly Subject[];
  readonly changes: readonly Subject[];
  readonly certainty: Certainty;
  /** What the packet does then: goes on to the next rule, leaves the table for good, walks a chain, or nobody knows. */
  readonly next: "goesOn" | "ends" | "returns" | "jumps" | "unknown";
  /** Whether a rule that has it makes the kernel track connections. */
  readonly tracks: boolean;
}

/** What no rule and no route asks about a packet: its changes make no difference to where the packet goes. */
const APART: ReadonlySet<Subject> = new Set(["log", "copy", "counter", "priority", "security", "header", "payload"]);

/** Whether an extension changes something on which a packet's way may hang. */
export function changesWay({ changes }: Pick<MatchEffect, "changes">): boolean {
  return changes.some((subject) => !APART.has(subject));
}
