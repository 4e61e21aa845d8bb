import type { HostPlan, IpAddress } from "@svcproxy/topology";
import type { VipPort } from "./isolation.ts";

export interface PlannedVips {
  /** Addresses to make local: ClusterIPs, external IPs, load-balancer IPs; each once, in the plan's order. */
  readonly vips: readonly IpAddress[];
  /** Addresses that are never made local, because this host could then no longer reach what owns them; with the reason. */
  readonly refused: ReadonlyMap<IpAddress, string>;
}

/** The VIPs of a plan whose frontends a userspace proxy listens on (SCTP has none); NodePorts are on the host's own addresses. */
export function vipsOfPlan(plan: HostPlan): PlannedVips {
  const owners = ownersOf(plan);
  const vips = new Set<IpAddress>();
  const refused = new Map<IpAddress, string>();
  for (const { port, frontends } of plan.ports) {
    if (port.protocol === "sctp") continue;
    for (const address of frontends.filter(({ kind }) => kind !== "nodePort").flatMap(({ addresses }) => addresses)) {
      const owner = owners.get(address);
      if (owner === undefined) vips.add(address);
      else if (owner !== "this host") refused.set(address, `it is the address of ${owner}`);
    }
  }
  return { vips: [...vips], refused };
}

/** What clients of VIPs dial of a plan, whether anybody answers or not. */
export function portsOfVips(plan: HostPlan): readonly VipPort[] {
  return plan.ports.flatMap(({ port: { protocol }, frontends }) =>
    protocol === "sctp"
      ? []
      : frontends
          .filter(({ kind }) => kind !== "nodePort")
          .flatMap(({ addresses, port }) => addresses.map((address) => ({ protocol, address, port }))),
  );
}

function ownersOf(plan: HostPlan): ReadonlyMap<IpAddress, string> {
  const owners = new Map<IpAddress, string>();
  for (const { service, port, onward } of plan.ports) {
    // One that is a VIP itself is not a machine's address: it leads back, and is left out, or leads on.
    const vips = new Set(onward.filter(({ kind }) => kind !== "nodePort").map(({ endpoint }) => endpoint));
    for (const endpoint of port.endpoints)
      if (!vips.has(endpoint)) owners.set(endpoint.address, `an endpoint of service ${JSON.stringify(service.name)}`);
  }
  for (const host of plan.hosts) {
    for (const address of host.addresses) owners.set(address, `host ${JSON.stringify(host.name)}`);
  }
  for (const address of plan.host.addresses) owners.set(address, "this host");
  return owners;
}
