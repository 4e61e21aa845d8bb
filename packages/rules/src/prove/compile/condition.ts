import type { Family } from "@svcproxy/topology";
import type { Subject } from "../../effects/effect.ts";
import { matchEffect } from "../../effects/match-effect.ts";
import { isVolatile } from "../../effects/rule-effect.ts";
import type { HostView } from "../../host/routing.ts";
import type { Match, NumberRange } from "../../match.ts";
import { formatMatch } from "../../text/format-match.ts";
import { protocolNumber } from "../../text/protocol-names.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import type { AddressSpace } from "../space/address-space.ts";
import type { HostSpace } from "../space/host-space.ts";
import type { IndexSet } from "../space/index-set.ts";
import { rangeSet, singleSet, subtract, unite } from "../space/index-set.ts";
import type { MarkCube } from "../space/mark-set.ts";
import type { AddressedField } from "../space/region.ts";

/** One condition of a rule, ready to be asked of whole sets of packets. All of a rule's conditions must hold. */
export type Condition = ConditionKind & {
  /** What is asked instead of a packet that has a template for a connection; `asked`: by a condition before it. */
  readonly onTemplate?: OpenQuestion | "asked";
};

type ConditionKind =
  /** On the header as it is now. */
  | { readonly kind: "field"; readonly field: AddressedField; readonly set: IndexSet }
  /** On the packet as it entered: what does not change. */
  | { readonly kind: "entered"; readonly field: "protocol" | "state"; readonly set: IndexSet }
  /** On what conntrack remembers of the connection as it began. */
  | {
      readonly kind: "connection";
      readonly field: AddressedField | "protocol";
      readonly set: IndexSet;
      readonly open: OpenQuestion;
    }
  | { readonly kind: "mark" | "connectionMark"; readonly cube: MarkCube; readonly negated: boolean }
  | { readonly kind: "inInterface"; readonly name: string; readonly negated: boolean }
  | { readonly kind: "outInterface"; readonly name: string; readonly negated: boolean }
  | {
      readonly kind: "translated";
      readonly ends: readonly ("source" | "destination")[];
      readonly states: IndexSet;
      readonly negated: boolean;
    }
  | { readonly kind: "direction"; readonly direction: "ORIGINAL" | "REPLY"; readonly open: OpenQuestion }
  | {
      readonly kind: "local";
      readonly whenLocal: boolean | "unknown";
      readonly whenArriving: boolean;
      readonly open: OpenQuestion;
    }
  /** Known for a new connection's first packet, and where conntrack keeps no connection; else an open question. */
  | {
      readonly kind: "firstOnly";
      readonly holdsForFirst: boolean;
      /** Undefined: conntrack has nothing to do with it. */
      readonly holdsUntracked: boolean | undefined;
      readonly open: OpenQuestion;
    }
  /** By the interfaces' groups. */
  | { readonly kind: "inDevices" | "outDevices"; readonly names: ReadonlySet<string>; readonly negated: boolean }
  /** By where the frame was addressed to, which the destination told when it came in. */
  | { readonly kind: "frame"; readonly destinations: IndexSet; readonly isUnicast: boolean; readonly negated: boolean }
  | { readonly kind: "tos"; readonly cube: MarkCube; readonly negated: boolean; readonly open: OpenQuestion }
  /** Holds, and does something that is told where rule sets are compared. */
  | { readonly kind: "deed"; readonly text: string }
  | { readonly kind: "hasConnection"; readonly holds: boolean; readonly otherwise: boolean }
  | { readonly kind: "icmp"; readonly match: Extract<Match, { kind: "icmp" }>; readonly open: OpenQuestion }
  | { readonly kind: "never" }
  | { readonly kind: "chance"; readonly chance: number }
  | { readonly kind: "recent"; readonly match: Extract<Match, { kind: "recent" }> }
  | { readonly kind: "unknown"; readonly open: OpenQuestion };

/** What nobody can answer. Asked twice it has one answer, as long as nothing that it looks at changed in between. */
export interface OpenQuestion {
  readonly text: string;
  readonly reads: readonly Subject[];
  /** Whether asking it changes the next answer. */
  readonly isVolatile: boolean;
  /** Whether the packet has a mark that nobody knows where it holds. */
  readonly changesMark?: true;
}

export interface CompileContext {
  readonly space: AddressSpace;
  readonly host: HostSpace;
  readonly view: HostView;
  /** Labels that some rule gives to connections. */
  readonly labelsSet: ReadonlySet<string>;
}

export const ALL_PORTS = rangeSet(0, 65536);
export const ALL_PROTOCOLS = rangeSet(0, 256);
export const ALL_STATES = rangeSet(0, CONNECTION_STATES.length);
export const NEW_STATE = singleSet(CONNECTION_STATES.indexOf("NEW"));

/** A condition that no packet meets. */
export const NEVER: readonly Condition[] = [{ kind: "never" }];

export function openQuestion(match: Match, family: Family): OpenQuestion {
  const { reads, changes } = matchEffect(match);
  const text = formatMatch(match, { style: "save", family });
  const changesMark = changes.includes("mark") ? { changesMark: true as const } : {};
  return { text, reads, isVolatile: isVolatile(match), ...changesMark };
}

/** A condition on the packet as it entered. */
export function entered(field: "protocol" | "state", set: IndexSet, negated: boolean, all: IndexSet): Condition {
  return { kind: "entered", field, set: negated ? subtract(all, set) : set };
}

export function protocols(...names: readonly string[]): IndexSet {
  return unite(names.map((name) => singleSet(protocolNumber(name) ?? 0)));
}

export function portSet({ from, to }: NumberRange): IndexSet {
  return rangeSet(from, to + 1);
}

export function stateSet(states: readonly string[]): IndexSet {
  return unite(CONNECTION_STATES.flatMap((state, place) => (states.includes(state) ? [singleSet(place)] : [])));
}
