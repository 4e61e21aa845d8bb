import type { ClientKind, Frontend, Handling } from "@svcproxy/topology";

/** What rules do beyond or beside a plan by the design of who writes them: a proof shows it and does not call it broken. */
export interface Deviation {
  readonly kind: DeviationKind;
  /** A sentence for people. */
  readonly text: string;
}

export type DeviationKind =
  | "host-traffic-masqueraded"
  | "nodeport-on-loopback"
  | "whole-mark"
  | "mark-outlives-packet"
  | "outside-clusterip-not-masqueraded"
  | "host-to-external-not-refused"
  | "unserved-nodeport-on-every-address"
  | "clusterip-port-refused"
  | "unassigned-clusterip-dropped"
  | "clusterip-marked-on-every-port"
  | "hairpin-of-own-pods-only";

/** What rules with these deviations do with a client of a frontend, as far as its source address goes. */
export function handlingBy(
  deviations: ReadonlySet<DeviationKind>,
  { frontend, client }: { readonly frontend: Frontend; readonly client: ClientKind },
): Handling {
  const handling = frontend.clients[client];
  if (handling.kind !== "forward" || frontend.kind !== "clusterIP") return handling;
  if (client === "host" && handling.masquerade === "hairpin" && deviations.has("host-traffic-masqueraded")) {
    return { ...handling, masquerade: "host" };
  }
  if (
    client === "outside" &&
    handling.masquerade === "not-a-pod" &&
    deviations.has("outside-clusterip-not-masqueraded")
  ) {
    return { ...handling, masquerade: "hairpin" };
  }
  return handling;
}
