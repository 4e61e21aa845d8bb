import type { HostFact, ReplyFact } from "@svcproxy/rules";
import type { Endpoint, Family, FrontendKind, IpAddress, Port } from "@svcproxy/topology";
import type { Sufferer } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";

/** Where a packet of a service comes to an end that was not meant, on paper. */
export interface Stop {
  readonly at: ObservedHost;
  readonly family: Family;
  /** Whether it is the answer that stops. */
  readonly isReply: boolean;
  readonly sufferer: Sufferer;
  readonly why: StopReason;
}

export type StopReason =
  /** A rule, or the policy of a chain, of whichever program. */
  | {
      readonly kind: "rule";
      readonly place: RulePlace;
      readonly does: "drops" | "refuses" | "sends elsewhere" | "rewrites" | "untracks";
    }
  | { readonly kind: "policy"; readonly table: string; readonly chain: string; readonly does: "drops" }
  | { readonly kind: "fact"; readonly fact: HostFact; readonly because: string; readonly destination: string }
  | { readonly kind: "replyFact"; readonly fact: ReplyFact; readonly because: string }
  /** No rule took it: it goes on to the address that was dialled. */
  | {
      readonly kind: "notTranslated";
      readonly frontend: FrontendKind;
      readonly address: IpAddress;
      readonly port: Port;
      /** The last chain of a service proxy's that let it pass; absent: none was asked. */
      readonly passed?: RulePlace;
    }
  /** Rules of a service proxy send it where it is not meant to go, or meant to refuse it. */
  | { readonly kind: "otherwise"; readonly text: string; readonly place?: RulePlace }
  /** A rule of the other variant of iptables takes it too, and which is asked first nobody knows. */
  | { readonly kind: "variants"; readonly variant: "legacy" | "nft"; readonly place: RulePlace }
  /** An endpoint gets another share than its own. */
  | { readonly kind: "share"; readonly endpoint: string; readonly given: number; readonly meant: number };

export interface RulePlace {
  readonly table: string;
  readonly chain: string;
  readonly number: number;
  readonly text: string;
  readonly packets?: number;
}

/** A packet that leaves this host for an endpoint as it is meant to. */
export interface Leaving {
  readonly at: ObservedHost;
  readonly sufferer: Sufferer;
  readonly endpoint: Endpoint;
  readonly protocol: string;
  /** As the endpoint sees it. */
  readonly source: string;
  readonly interface: string;
  readonly nextHop: string;
  /** The prefix of the route that led there. */
  readonly prefixLength: number | undefined;
}
