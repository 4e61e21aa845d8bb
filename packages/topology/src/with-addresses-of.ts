import type { IpAddress } from "./address.ts";
import type { Host, Topology } from "./model.ts";
import { specialAddress } from "./special-address.ts";

/**
 * The topology with what was seen on one host's machine: the addresses of its interfaces besides those that its entry
 * lists, without loopback and link-local ones.
 */
export function withAddressesOf(
  topology: Topology,
  { host: name, addresses }: { readonly host: string; readonly addresses: readonly IpAddress[] },
): Topology {
  const look = (host: Host): Host => {
    const listed = new Set(host.addresses);
    const isNew = (address: IpAddress) => !listed.has(address) && specialAddress(address) === undefined;
    return { ...host, unlistedAddresses: addresses.filter(isNew) };
  };
  return { ...topology, hosts: topology.hosts.map((host) => (host.name === name ? look(host) : host)) };
}
