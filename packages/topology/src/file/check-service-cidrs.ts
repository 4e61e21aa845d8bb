import { type Cidr, cidrContains, familyOf, formatCidr, type IpAddress } from "../address.ts";
import type { SubjectPath } from "../subject-path.ts";
import type { ValueReader } from "../value-reader.ts";
import type { HostDirectory } from "./build-hosts.ts";
import type { FoundService } from "./build-services.ts";
import { mapItems, type RawNode } from "./raw-topology.ts";

/** Reads the blocks that hold ClusterIPs and nothing else; one that holds the address of something else is an error, because a data path may refuse what it does not know there. */
export function readServiceCIDRs(
  raw: RawNode,
  {
    reader,
    where,
    directory,
    services,
  }: {
    readonly reader: ValueReader;
    readonly where: SubjectPath;
    readonly directory: HostDirectory;
    readonly services: readonly FoundService[];
  },
): { readonly serviceCIDRs?: readonly Cidr[] } {
  if (raw.serviceCIDRs === undefined) return {};
  const serviceCIDRs = mapItems(raw.serviceCIDRs, (text, index) => {
    const at = where.at("serviceCIDRs").at(index);
    const cidr = reader.cidr(text, at);
    if (cidr === undefined) return undefined;
    for (const [address, what] of otherAddresses(directory, services)) {
      if (familyOf(address) !== familyOf(cidr.address) || !cidrContains(cidr, address)) continue;
      const reason = `the block ${formatCidr(cidr)} holds ${address}, the address of ${what}`;
      reader.error(
        "SERVICE_CIDR_TOO_WIDE",
        at,
        reason,
        "Give the block that ClusterIPs are taken from, and nothing else is in",
      );
      break;
    }
    return cidr;
  });
  return { serviceCIDRs };
}

function* otherAddresses(
  { hosts }: HostDirectory,
  services: readonly FoundService[],
): Generator<readonly [address: IpAddress, what: string]> {
  for (const { name, addresses, podCIDRs, pods } of hosts) {
    for (const address of addresses) yield [address, `host ${name}`];
    for (const { address } of podCIDRs) yield [address, `the pods of host ${name}`];
    for (const pod of pods) for (const { address } of pod.addresses) yield [address, `pod ${pod.name}`];
  }
  for (const { service, vips } of services) {
    for (const { kind, value } of vips) {
      const what = kind === "externalIP" ? "an external IP" : "a load-balancer IP";
      if (kind !== "clusterIP") yield [value, `service ${service.name}, ${what}`];
    }
  }
}
