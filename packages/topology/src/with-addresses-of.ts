import type { IpAddress } from "./address.ts";
import type { Topology } from "./model.ts";

/** The topology with what was seen on one host's machine: addresses of its interfaces, those besides that its entry lists. */
export function withAddressesOf(
  topology: Topology,
  { host: name, addresses }: { readonly host: string; readonly addresses: readonly IpAddress[] },
): Topology {
  const hosts = topology.hosts.map((host) =>
    host.name === name
      ? { ...host, unlistedAddresses: addresses.filter((address) => !host.addresses.includes(address)) }
      : host,
  );
  return { ...topology, hosts };
}
