import type { IpAddress } from "@svcproxy/topology";
import type { NumberRange } from "../../match.ts";
import type { Ended, Ending, WalkState } from "./walk-state.ts";
import { packetAsSent } from "./written-header.ts";

export const VERDICTS = ["accepted", "untouched", "refused", "dropped", "undecided"] as const;
export type Verdict = (typeof VERDICTS)[number];

/** An address with the ports that it may have; undefined for protocols without ports. */
export interface EndAddress {
  readonly address: IpAddress;
  readonly ports?: NumberRange;
}

/** How one way of a packet ended, without how it came there. */
export interface Outcome {
  readonly verdict: Verdict;
  /** Where the packet goes to and comes from when it ends. */
  readonly destination: EndAddress;
  readonly source: EndAddress;
  /** Whether a rule set up a new source for it, be it the one it had. */
  readonly masqueraded: boolean;
  /** Who gets it; undefined where nobody does. */
  readonly endpoint?: EndAddress;
  /** A sentence: the rule or the fact that decided. */
  readonly because: string;
  /** The interface by which it left; undefined for what stays here. */
  readonly leftBy?: string;
  readonly mark: number;
}

/** What became of a way: `accepted` where a rule gave it another destination, or a rule of ours another source. */
export function outcomeOf({ state, ending }: Ended): Outcome {
  const { packet } = state;
  const destination = endOf(packet.destination, packet.destinationPorts);
  const verdict = verdictOf(state, ending);
  return {
    verdict,
    destination,
    source: endOf(packet.source, packet.sourcePorts),
    masqueraded: state.sourceNat !== undefined,
    ...(ending.kind === "delivered" ? { endpoint: destination } : {}),
    because: ending.kind === "delivered" ? deliveryOf(ending) : ending.because,
    ...(ending.kind === "delivered" && ending.to === "interface" ? { leftBy: ending.interface } : {}),
    mark: packet.mark,
  };
}

function endOf(address: IpAddress, ports: NumberRange | undefined): EndAddress {
  return ports === undefined ? { address } : { address, ports };
}

function verdictOf(state: WalkState, ending: Ending): Verdict {
  if (ending.kind !== "delivered") return ending.kind;
  return changedDestination(state) || changedSource(state) || isRewritten(state) ? "accepted" : "untouched";
}

/** Whether a rule wrote another destination into the packet itself, which no connection knows of (`tcp dport set 81`). */
function isRewritten(state: WalkState): boolean {
  const { packet } = state;
  const first = packetAsSent(state);
  return first.destination !== packet.destination || first.destinationPorts?.from !== packet.destinationPorts?.from;
}

function changedDestination({ packet, destinationNat }: WalkState): boolean {
  return destinationNat !== undefined && packet.connection?.destinationTranslated === true;
}

/** Another program's masquerading (a container's way out) is not a service of ours. */
function changedSource({ packet, sourceNat }: WalkState): boolean {
  return sourceNat?.isOwn === true && packet.connection?.sourceTranslated === true;
}

function deliveryOf(ending: Extract<Ending, { readonly kind: "delivered" }>): string {
  return ending.to === "host"
    ? "handed to the host's own programs"
    : `sent out by ${ending.interface}${ending.nextHop === "" ? "" : ` to ${ending.nextHop}`}`;
}

/** Equal for outcomes that a reader would call the same. */
export function outcomeKey({ verdict, destination, source, masqueraded, leftBy, because, mark }: Outcome): string {
  const isDelivered = verdict === "accepted" || verdict === "untouched";
  // Which mark a packet had that nobody gets is of no interest.
  return JSON.stringify([verdict, destination, source, masqueraded, ...(isDelivered ? [leftBy, mark] : [because])]);
}
