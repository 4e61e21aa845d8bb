import { type Collection, type Element, element, type NftTable } from "../table/nft-table.ts";
import { PROTOCOLS, set } from "./collections.ts";

/** The set of the protocols for which a table answers. Its elements go by themselves unless somebody renews them. */
export const LEASE = "lease";

/** How long a table answers after the agent that kept it has ended. Long enough for whoever finds it dead after a holiday. */
const LEASE_SECONDS = 7 * 24 * 3600;

export function leaseCollection(): Collection {
  return set(LEASE, "meta l4proto", {
    timeoutSeconds: LEASE_SECONDS,
    comment: "protocols that are served, as long as svcproxy run renews them",
  });
}

export function leaseElements(): readonly Element[] {
  return PROTOCOLS.map((protocol) => element(LEASE, protocol));
}

/** Whether a table is kept by an agent, or was left by one. */
export function isLeased({ collections }: Pick<NftTable, "collections">): boolean {
  return collections.some(({ name }) => name === LEASE);
}
