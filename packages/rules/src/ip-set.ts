import type { Cidr, IpAddress } from "@svcproxy/topology";
import type { NumberRange } from "./rule-set.ts";

/** A kernel set of addresses, ports and the like, with its members. */
export interface IpSet {
  /** `hash:ip,port`, `bitmap:port`, `list:set`, … */
  readonly type: string;
  readonly members: readonly IpSetMember[];
}

export interface IpSetMember {
  /** One element a dimension of the set's type. */
  readonly elements: readonly IpSetElement[];
  /** An exception to a wider member. */
  readonly noMatch: boolean;
}

export type IpSetElement =
  | { readonly kind: "net"; readonly cidr: Cidr }
  | { readonly kind: "range"; readonly from: IpAddress; readonly to: IpAddress }
  /** `protocol` is undefined where the set holds plain ports. */
  | { readonly kind: "port"; readonly protocol?: string; readonly ports: NumberRange }
  | { readonly kind: "interface"; readonly name: string }
  /** Another set's name, a MAC, a mark: kept as written. */
  | { readonly kind: "text"; readonly text: string };
