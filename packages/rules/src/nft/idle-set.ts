import type { NftExpression, NftStatement } from "./nft-rule-set.ts";

/** Set without consequence for where the packet goes. */
const IDLE_META: readonly string[] = ["nftrace", "secmark", "rtclassid"];
const IDLE_FIELDS: readonly string[] = ["flowlabel", "ecn"];

/** Names of what a frame is that came for this host. */
const FOR_THIS_HOST: readonly unknown[] = ["host", "unicast", 0];

/** Whether a packet goes on as it would without this statement. */
export function isIdleSet({ target, value }: Extract<NftStatement, { readonly kind: "set" }>): boolean {
  const only = value.kind === "literal" && value.parts.length === 1 ? value.parts[0] : undefined;
  if (target.kind === "meta")
    // IP passes on, and TCP takes, what came for this host alone.
    return target.key === "pkttype" ? FOR_THIS_HOST.includes(only) : IDLE_META.includes(target.key);
  if (target.kind !== "payload") return false;
  // Of all checksums one alone is never wrong: UDP's 0 over IPv4 means that there is none.
  if (target.field === "checksum") return target.header === "udp" && only === 0;
  return IDLE_FIELDS.includes(target.field);
}

/**
 * Why nobody can say whether a packet arrives whose ports were set: of a header without a name nft does not know where the
 * checksum is, and leaves it. It is right only where it is made later, by the network card or for the loopback.
 */
export function staleChecksum(target: NftExpression): string | undefined {
  if (target.kind !== "payload" || target.header !== "th") return undefined;
  return `\`th ${target.field} set\` leaves the checksum as it was: whether the receiver takes it is not known`;
}
