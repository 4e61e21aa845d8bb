import type {
  Family,
  Frontend,
  FrontendKind,
  HostPlan,
  IpAddress,
  Port,
  Protocol,
  ServicePortPlan,
} from "@svcproxy/topology";

/** A frontend that some clients get nothing from, at one address. */
export interface RefusedFrontend {
  readonly owner: ServicePortPlan;
  readonly kind: FrontendKind;
  /** Absent for a NodePort on every address of the host. */
  readonly address?: IpAddress;
  readonly protocol: Protocol;
  readonly port: Port;
  /** `drop` where endpoints are out of reach, `refuse` where there are none. */
  readonly outcome: "refuse" | "drop";
}

export interface RefusedFrontendsInput {
  readonly family: Family;
  /** Whether a NodePort is refused on every address of the host, whichever of them serve NodePorts. */
  readonly nodePortsEverywhere: boolean;
}

/** In the plan's order. Packets that a nat rule sent elsewhere no longer have this address, so only those are met that none did. */
export function refusedFrontends(
  { ports }: HostPlan,
  { family, nodePortsEverywhere }: RefusedFrontendsInput,
): readonly RefusedFrontend[] {
  return ports
    .filter((owner) => owner.family === family)
    .flatMap((owner) =>
      owner.frontends.flatMap((frontend): RefusedFrontend[] => {
        const outcome = outcomeOf(frontend);
        if (outcome === undefined) return [];
        const { kind, port } = frontend;
        const refused = { owner, kind, protocol: owner.port.protocol, port, outcome };
        const isEverywhere = frontend.everyHostAddress || (kind === "nodePort" && nodePortsEverywhere);
        return isEverywhere ? [refused] : frontend.addresses.map((address) => ({ ...refused, address }));
      }),
    );
}

function outcomeOf({ clients }: Frontend): "refuse" | "drop" | undefined {
  const kinds = Object.values(clients).map(({ kind }) => kind);
  return kinds.includes("drop") ? "drop" : kinds.includes("refuse") ? "refuse" : undefined;
}

/** Whether a frontend leads some client to an endpoint: it may be the host itself alone, which policy Local sends away least. */
export function servesSomebody({ clients }: Frontend): boolean {
  return clients.pod.kind === "forward" || clients.host.kind === "forward" || clients.outside.kind === "forward";
}

/** Whether only some clients may use a frontend that is served. */
export function isGuarded(frontend: Frontend): boolean {
  return frontend.sourceRanges.length > 0 && servesSomebody(frontend);
}
