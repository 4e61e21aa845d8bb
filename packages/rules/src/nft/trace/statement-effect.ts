import { type Fraction, ONE } from "../../trace/packet/fraction.ts";
import type { PacketView } from "../../trace/packet/packet-view.ts";
import type { NftVerdict } from "../nft-rule-set.ts";

/** What a statement does to a packet. */
export type StatementEffect =
  /** The next statement is asked, perhaps of a changed packet. */
  | { readonly kind: "next"; readonly packet: PacketView }
  /** The rule is over. */
  | { readonly kind: "break" }
  | { readonly kind: "verdict"; readonly verdict: NftVerdict }
  | { readonly kind: "refuse"; readonly how: string }
  | { readonly kind: "drop"; readonly because: string }
  /** NAT is set up and the table is left. Several packets: which of them is not known, and `because` says on what that hangs. */
  | {
      readonly kind: "translate";
      readonly end: "source" | "destination";
      readonly packets: readonly PacketView[];
      readonly because?: string;
    }
  /** Nothing can be said of what comes after. */
  | { readonly kind: "unknown"; readonly because: string };

/** What a statement may do, each with its chance; or a condition that nobody can answer. */
export type StatementResult =
  | {
      readonly kind: "drawn";
      readonly ways: readonly { readonly chance: Fraction; readonly effect: StatementEffect }[];
    }
  /** `isVolatile`: asked again of the same packet, it may answer otherwise. */
  | { readonly kind: "open"; readonly because: string; readonly isVolatile: boolean };

export function surely(effect: StatementEffect): StatementResult {
  return { kind: "drawn", ways: [{ chance: ONE, effect }] };
}
