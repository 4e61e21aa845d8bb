import { type Cidr, familyOf, type HostPlan } from "@svcproxy/topology";

/** A block of the addresses that an interface carries. */
export interface InterfaceSubnet {
  readonly name: string;
  readonly cidr: Cidr;
}

/**
 * Sources that count as this host's pods.
 *
 * Rules see the interface that a packet came in by; a proxy sees the client's address only, so it goes by the interface's
 * subnet. Where each pod has a route and no interface a subnet (as Calico does it) it goes by the host's blocks of pods.
 */
export function podCidrs(
  { podDetector, host }: Pick<HostPlan, "podDetector" | "host">,
  interfaces: readonly InterfaceSubnet[],
): readonly Cidr[] {
  const subnetsOf = (isOfPods: (name: string) => boolean): readonly Cidr[] => {
    const subnets = interfaces
      .filter(({ name, cidr }) => isOfPods(name) && cidr.prefixLength < (familyOf(cidr.address) === 4 ? 32 : 128))
      .map(({ cidr }) => cidr);
    return subnets.length === 0 ? host.podCIDRs : subnets;
  };
  switch (podDetector.kind) {
    case "none":
      return [];
    case "source":
      return podDetector.cidrs;
    case "bridge":
      return subnetsOf((name) => name === podDetector.interface);
    case "interfacePrefix":
      return subnetsOf((name) => name.startsWith(podDetector.prefix));
  }
}
