import type { Frontend, Service } from "@svcproxy/topology";

/**
 * How the clients of a frontend are treated: the chain that decides it, and its number in the maps of frontends. They differ in whose
 * source is rewritten and who gets endpoints elsewhere, and in what is met where there is none.
 */
export const TREATMENTS = {
  internal: 1,
  "internal-local": 2,
  external: 3,
  "external-local": 4,
} as const;

export type Treatment = keyof typeof TREATMENTS;

/** The bits of a kind that number its treatment. */
export const TREATMENT_BITS = 0x7;

/** The bit of a kind whose frontend only the clients in set `allowed` may use. */
export const RESTRICTED_BIT = 0x8;

export function treatmentOf({ kind, clients }: Frontend, service: Service): Treatment {
  // Without an endpoint anywhere everybody is refused, whatever the policy.
  const isServed = clients.pod.kind !== "refuse" || clients.host.kind !== "refuse" || clients.outside.kind !== "refuse";
  if (kind === "clusterIP") {
    return isServed && service.internalTrafficPolicy === "Local" ? "internal-local" : "internal";
  }
  return isServed && service.externalTrafficPolicy === "Local" ? "external-local" : "external";
}

/** Whether only some clients may use a frontend. Where nobody is served, all are refused alike. */
export function isRestricted({ sourceRanges, clients }: Frontend): boolean {
  return sourceRanges.length > 0 && Object.values(clients).some(({ kind }) => kind === "forward");
}
