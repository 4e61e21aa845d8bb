import type { Problem } from "@svcproxy/topology";
import type { CauseCode } from "./cause-codes.ts";

/** Why connections fail, with what was seen of it. */
export interface Cause extends Problem {
  readonly code: CauseCode;
  /** The host on which it is. */
  readonly host: string;
  /** What shows it, a sentence each: the rule with its number, the sysctl, the route, the counter. */
  readonly evidence: readonly string[];
  /** Who probably did it. */
  readonly suspect?: string;
  /** Commands that mend it, to be run on `host` as root. */
  readonly remedy: readonly string[];
  readonly sufferers: readonly Sufferer[];
  /** Endpoints that are not reached because of it, `address:port`; absent: as its subject says, or all behind it. */
  readonly endpoints?: readonly string[];
  /** What it brings about. */
  readonly effects: readonly Cause[];
}

/** Who suffers: a service, from where it is dialled, and where to. */
export interface Sufferer {
  /** `namespace/name`. */
  readonly service: string;
  readonly client: ClientPlace;
  /** Of its new connections, from 0 to 1. */
  readonly share: number;
}

/** From where a connection comes: `self` is an endpoint that dials its own service. */
export type ClientPlace = "pod" | "host" | "outside" | "self";

/** What could not be decided, and what would. */
export interface OpenQuestion {
  readonly subject: string;
  readonly text: string;
  /** How far the packet gets on paper, a line each: the last hooks and rules of its way, and where it goes then. */
  readonly way?: readonly string[];
  /** What to run, or which rights to have. */
  readonly hint?: string;
  readonly sufferers: readonly Sufferer[];
}

export interface Diagnosis {
  readonly host: string;
  /** ISO 8601. */
  readonly takenAt: string;
  /** The worst first. */
  readonly causes: readonly Cause[];
  readonly open: readonly OpenQuestion[];
  readonly looked: Looked;
}

/** How much was looked at. */
export interface Looked {
  readonly services: number;
  /** Ways of packets that were followed on paper. */
  readonly ways: number;
  /** Connections that were tried, and packets sent besides. */
  readonly dials: number;
  readonly pings: number;
}
