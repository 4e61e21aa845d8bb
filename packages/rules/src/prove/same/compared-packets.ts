import type { IpAddress } from "@svcproxy/topology";
import type { PlacedRule } from "../../hooks/any-rule.ts";
import { CONNECTION_STATES, type ConnectionState } from "../../trace/packet/packet-view.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import type { ProofPacket } from "../report/proof.ts";
import type { AddressSpace } from "../space/address-space.ts";
import { hasMember, type IndexSet, onlyMember } from "../space/index-set.ts";
import type { AddressedField } from "../space/region.ts";
import type { EndedState, SymbolicState } from "../walk/symbolic-state.ts";
import { type ComparedSide, compareRules, type SameRulesOptions } from "./same-rules.ts";

/** Packets that two rule sets treat differently, all alike, in words that need no sets. */
export interface ComparedPackets {
  /** One of them. */
  readonly packet: ProofPacket;
  /** The only state that they have in their connections; undefined where they have several. */
  readonly state: ConnectionState | undefined;
  /** What becomes of them by either rule set; undefined where it cannot be decided, `because` says why. */
  readonly fates?: { readonly a: readonly Fate[]; readonly b: readonly Fate[] };
  readonly because?: string;
  /** The single addresses to which they go; not those that nothing mentions. */
  destinations(): readonly IpAddress[];
  hasPort(port: number): boolean;
  /** By its number. */
  hasProtocol(protocol: number): boolean;
  comeFrom(address: IpAddress): boolean;
}

/** One thing that becomes of packets. */
export type Fate = (
  | {
      readonly kind: "delivered";
      /** Where they are sent on; undefined: where they were going. */
      readonly to: IpAddress | undefined;
      readonly port: number | undefined;
      /** Undefined: they keep their source. `unknown`: it is rewritten, to what is not known. */
      readonly source: IpAddress | "unknown" | undefined;
      /** Undefined: to a program of this host. */
      readonly outInterface: string | undefined;
    }
  | { readonly kind: "refused" | "dropped"; readonly because: string; readonly placed: PlacedRule | undefined }
) & {
  /** In (0, 1]. */
  readonly share: number;
  /** The rules that decided on their way, the latest first. */
  readonly decisions: readonly PlacedRule[];
};

/**
 * All packets that two rule sets treat differently.
 *
 * @returns how many kinds of packets were looked at
 * @throws InputError PROOF_TOO_LARGE where the rules tell too many kinds of packets apart
 */
export function* comparePackets(options: SameRulesOptions): Generator<ComparedPackets, number | "all"> {
  const walked = compareRules(options);
  for (;;) {
    const { done, value } = walked.next();
    if (done === true) return value;
    const { region, packet, result, space } = value;
    const only = onlyMember(region.state);
    yield {
      packet,
      state: only === undefined ? undefined : CONNECTION_STATES[only],
      ...(result.kind === "different"
        ? { fates: { a: fatesOf(result.a), b: fatesOf(result.b) } }
        : { because: result.because }),
      destinations: () => singleAddresses(region.destination, space),
      hasPort: (port) => hasMember(region.destinationPort, port),
      hasProtocol: (protocol) => hasMember(region.protocol, protocol),
      comeFrom: (address) => space.isMentioned(address) && hasMember(region.source, space.indexOf(address)),
    };
  }
}

function singleAddresses(set: IndexSet, space: AddressSpace): readonly IpAddress[] {
  const addresses: IpAddress[] = [];
  for (let at = 0; at < set.length; at += 2)
    for (let piece = set[at] ?? 0; piece < (set[at + 1] ?? 0); piece++)
      if (space.isSingle(piece)) addresses.push(space.addressAt(piece));
  return addresses;
}

function fatesOf({ context, ends }: ComparedSide): readonly Fate[] {
  return ends.flatMap((end): Fate | readonly never[] => {
    const { state, ending } = end;
    const beside = { share: state.probability, decisions: decisionsOf(end) };
    if (ending.kind === "undecided") return [];
    if (ending.kind === "delivered") return { kind: "delivered", ...wayOf(state, context), ...beside };
    return { kind: ending.kind, because: ending.because, placed: ending.placed, ...beside };
  });
}

function decisionsOf({ state }: EndedState): readonly PlacedRule[] {
  const placed: PlacedRule[] = [];
  for (let one = state.decisions; one !== undefined; one = one.earlier) placed.push(one.placed);
  for (let one = state.jumps; one !== undefined; one = one.earlier) placed.push(one.placed);
  return placed;
}

function wayOf(state: SymbolicState, { space }: ProofContext) {
  const addressNow = (field: AddressedField) => {
    const now = state[field];
    return typeof now === "number" ? space.addressAt(now) : undefined;
  };
  const port = state.destinationPort;
  return {
    to: addressNow("destination"),
    port: typeof port === "number" ? port : undefined,
    source: state.source === "unknown" ? ("unknown" as const) : addressNow("source"),
    outInterface: state.outInterface,
  };
}
