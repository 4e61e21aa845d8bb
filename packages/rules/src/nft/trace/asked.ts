import type { IpAddress } from "@svcproxy/topology";
import type { HostView } from "../../host/routing.ts";
import type { Hook } from "../../rule-set.ts";
import type { ZoneChoice } from "../../target.ts";
import type { PacketView } from "../../trace/packet/packet-view.ts";
import type { NftElement, NftSet, NftTable } from "../nft-rule-set.ts";

type ZoneDirection = ZoneChoice["direction"];

/** An element of a named set or map that a packet's key was found at. */
export interface FoundElement {
  readonly table: NftTable;
  readonly set: NftSet;
  readonly element: NftElement;
}

/** What a statement is asked about: a packet at a hook, and the table whose sets and maps it may name. */
export interface NftAsked {
  readonly packet: PacketView;
  readonly host: HostView;
  readonly hook: Hook;
  readonly table: NftTable;
  /** Whether sets that rules write as packets pass hold what was listed; else what is in them is not known. */
  readonly knowsDynamicSets: boolean;
  /** Is told each element that is found. */
  readonly onElement?: ((found: FoundElement) => void) | undefined;
}

export interface NftAskedAt extends NftAsked {
  /** Where the packet is sent next; the destination itself where it is on-link. Undefined before routing. */
  readonly nextHop: IpAddress | undefined;
  /** What `notrack` makes of the packet. */
  readonly untracked: (packet: PacketView) => PacketView;
  /** What `ct zone set` makes of it. */
  readonly templated: (packet: PacketView, choice: { zone: number; direction: ZoneDirection }) => PacketView;
}
