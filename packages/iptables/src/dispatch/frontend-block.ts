import type { Match, NumberRange } from "@svcproxy/rules";
import type { Cidr, Protocol } from "@svcproxy/topology";

/** Some of the frontends: those whose address, protocol and port lie in it. What is not said may be anything. */
export interface FrontendBlock {
  readonly cidr?: Cidr;
  readonly protocol?: Protocol;
  /** Said only where the protocol is. */
  readonly ports?: NumberRange;
}

/** How a dialect writes what the packets to a block have in common. */
export type BlockMatches = (block: FrontendBlock) => readonly Match[];
