import { cidrContains, formatCidr, type IpAddress } from "../address.ts";
import type { NodeSettings } from "../model.ts";
import type { KubernetesObject } from "./kubernetes-objects.ts";
import { type KubernetesNode, readCidr } from "./read-nodes.ts";
import type { KubernetesPod } from "./read-pods.ts";
import type { KubernetesService } from "./read-services.ts";

/** Where the API server takes ClusterIPs from; an address of something else in it is named, because it may be refused. */
export function readServiceCIDRs(
  objects: readonly KubernetesObject[],
  others: {
    readonly nodes: readonly KubernetesNode[];
    readonly pods: readonly KubernetesPod[];
    readonly services: readonly KubernetesService[];
  },
): Pick<NodeSettings, "serviceCIDRs"> | Record<string, never> {
  const fields = objects.flatMap(({ field }) => field.at("spec", "cidrs").items());
  if (fields.length === 0) return {};
  const serviceCIDRs = fields.flatMap((field) => {
    const cidr = readCidr(field);
    if (cidr === undefined) return [];
    for (const [address, what] of otherAddresses(others)) {
      if (!cidrContains(cidr, address)) continue;
      field.warning("SERVICE_CIDR_TOO_WIDE", `${formatCidr(cidr)} holds ${address}, the address of ${what}`);
      break;
    }
    return [cidr];
  });
  return { serviceCIDRs };
}

function* otherAddresses({
  nodes,
  pods,
  services,
}: Parameters<typeof readServiceCIDRs>[1]): Generator<readonly [IpAddress, string]> {
  for (const { host } of nodes) for (const address of host.addresses) yield [address, `node ${host.name}`];
  for (const { key, addresses } of pods) for (const address of addresses) yield [address, `pod ${key}`];
  for (const { object, vips } of services) {
    for (const { kind, address } of vips) {
      if (kind !== "clusterIP") yield [address, `Service ${object.namespace}/${object.name} outside the cluster`];
    }
  }
}
