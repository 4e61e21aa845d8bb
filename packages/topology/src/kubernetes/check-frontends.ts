import { formatCidr, type IpAddress } from "../address.ts";
import { CidrIndex } from "../cidr-index.ts";
import type { FaultCode } from "../fault-code.ts";
import type { Field } from "./field.ts";
import type { KubernetesNode } from "./read-nodes.ts";
import type { KubernetesPod } from "./read-pods.ts";
import type { KubernetesService, KubernetesServicePort } from "./read-services.ts";

/**
 * Reports what Services may not share. ClusterIPs and NodePorts are handed out once by the API server, so twice is an error;
 * an external or load-balancer IP can be claimed by anyone, so whoever comes second goes without it, for the ports that both have.
 */
export function checkFrontends(
  services: readonly KubernetesService[],
  { nodes, pods }: { readonly nodes: readonly KubernetesNode[]; readonly pods: readonly KubernetesPod[] },
): readonly KubernetesService[] {
  const claims = new Claims();
  for (const { object, ports, vips, settings } of services) {
    for (const { nodePort, protocol, field } of ports) {
      if (nodePort === undefined) continue;
      const what = `${nodePort}/${protocol}`;
      claims.claim("DUPLICATE_NODE_PORT", field.get("nodePort"), { key: `node ${what}`, what });
    }
    const { healthCheckNodePort: health } = settings;
    if (health !== undefined) {
      const field = object.field.at("spec", "healthCheckNodePort");
      claims.claim("DUPLICATE_NODE_PORT", field, { key: `node ${health}/tcp`, what: `${health}/tcp` });
    }
    for (const vip of vips) {
      if (vip.kind !== "clusterIP") continue;
      for (const { port, protocol } of ports) {
        const what = `${vip.address} with port ${port}/${protocol}`;
        claims.claim("DUPLICATE_FRONTEND", vip.field, { key: frontendKey(vip.address, { port, protocol }), what });
      }
    }
  }
  checkOwners(services, { nodes, pods });
  warnOfPodBlocks(services, nodes);
  return services.map((service) => withoutTakenAddresses(service, claims));
}

class Claims {
  readonly #first = new Map<string, Field>();

  claim(code: FaultCode, field: Field, { key, what }: { key: string; what: string }): void {
    const first = this.take(key, field);
    // The same field again: two ports of one Service are equal, and that has been said.
    if (first !== undefined && first !== field) {
      field.duplicate(code, { first, reason: `${what} is used by ${first.where.subject} already` });
    }
  }

  /** @returns who has it, where it is taken */
  take(key: string, field: Field): Field | undefined {
    const first = this.#first.get(key);
    if (first === undefined) this.#first.set(key, field);
    return first;
  }
}

function frontendKey(address: string, { port, protocol }: { port: number; protocol: string }): string {
  return `vip ${address} ${port}/${protocol}`;
}

/** Ports are told apart, as rules tell them apart: an address is lost for the ports that somebody else has there. */
function withoutTakenAddresses(service: KubernetesService, claims: Claims): KubernetesService {
  const { vips } = service;
  const takenAt = new Map<KubernetesServicePort, IpAddress[]>();
  const kept = vips.filter(({ kind, address, field }) => {
    if (kind === "clusterIP") return true;
    const taken = service.ports.flatMap((port) => {
      const owner = claims.take(frontendKey(address, port), field);
      return owner === undefined || owner === field ? [] : [{ port, owner }];
    });
    const [first] = taken;
    if (first === undefined) return true;
    const isLost = taken.length === service.ports.length;
    const those = taken.map(
      ({ port: { port, protocol }, owner }) => `${port}/${protocol} through ${owner.where.subject}`,
    );
    const what = isLost
      ? `${address} has a port of this Service already, through ${first.owner.where.subject}; it is not served here`
      : `${address} has ${those.join(", ")} already; this Service is not served there`;
    field.warning("DUPLICATE_FRONTEND", what);
    if (!isLost) for (const { port } of taken) takenAt.set(port, [...(takenAt.get(port) ?? []), address]);
    return !isLost;
  });
  if (kept.length === vips.length && takenAt.size === 0) return service;
  const ports = service.ports.map((port) => {
    const addresses = takenAt.get(port);
    return addresses === undefined ? port : { ...port, takenAt: addresses };
  });
  return { ...service, vips: kept, ports };
}

/**
 * A ClusterIP on a Node's own address would cut that Node off from the port for good; the API server gives out only addresses of its
 * service range. External and load-balancer IPs on Nodes are customary where no load balancer is, and hide what else listens there.
 */
function checkOwners(
  services: readonly KubernetesService[],
  { nodes, pods }: { readonly nodes: readonly KubernetesNode[]; readonly pods: readonly KubernetesPod[] },
): void {
  const hosts = new Map(nodes.flatMap(({ host }) => host.addresses.map((address) => [address, host.name])));
  const podKeys = new Map(pods.flatMap(({ key, addresses }) => addresses.map((address) => [address, key])));
  for (const { vips } of services) {
    for (const { kind, address, field } of vips) {
      const host = hosts.get(address);
      const pod = podKeys.get(address);
      if (host !== undefined) {
        const reason = `${address} is the address of node ${host}`;
        if (kind === "clusterIP") field.error("VIP_IS_HOST_ADDRESS", reason, "Take an address that nothing else has");
        else
          field.warning(
            "VIP_IS_HOST_ADDRESS",
            `${reason}; whatever else listens there on the Service's ports is hidden`,
          );
      } else if (pod !== undefined) {
        const reason = `${address} is the address of pod ${pod}, which nobody reaches any more on the Service's ports`;
        field.warning("VIP_IS_POD_ADDRESS", reason, "Take an address that nothing else has");
      }
    }
  }
}

function warnOfPodBlocks(services: readonly KubernetesService[], nodes: readonly KubernetesNode[]): void {
  const index = new CidrIndex(
    nodes.flatMap(({ host, field }) => host.podCIDRs.map((cidr) => ({ cidr, owner: host.name, field }))),
  );
  for (const [first, second] of index.overlaps) {
    const reason = `its podCIDR ${formatCidr(second.cidr)} overlaps ${formatCidr(first.cidr)} of ${first.field.where.subject}`;
    second.field.warning("OVERLAPPING_POD_CIDRS", reason);
  }
  for (const { vips } of services) {
    for (const { address, field } of vips) {
      const block = index.find(address);
      if (block === undefined) continue;
      field.warning(
        "VIP_IN_POD_CIDR",
        `${address} lies in the podCIDR ${formatCidr(block.cidr)} of node ${block.owner}`,
      );
    }
  }
}
