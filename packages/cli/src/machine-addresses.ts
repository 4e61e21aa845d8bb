import { networkInterfaces } from "node:os";
import type { HostState } from "@svcproxy/rules";
import { type IpAddress, parseIpAddress, type Topology, withAddressesOf } from "@svcproxy/topology";
import { VIP_DEVICE } from "./vip-device.ts";

/** The topology with the addresses that this machine, which is `host`, has besides those listed. */
export function lookAtMachine(topology: Topology, host: string): Topology {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, entries = []]) =>
    name === VIP_DEVICE ? [] : entries.flatMap(({ address }): IpAddress[] => toList(parseIpAddress(address))),
  );
  return withAddressesOf(topology, { host, addresses });
}

/** The same by what was noted of the machine. */
export function lookAtHostState(topology: Topology, host: string, { interfaces }: HostState): Topology {
  const addresses = interfaces.flatMap((device) =>
    device.name === VIP_DEVICE ? [] : device.addresses.map(({ address }) => address),
  );
  return withAddressesOf(topology, { host, addresses });
}

function toList<T>(value: T | undefined): T[] {
  return value === undefined ? [] : [value];
}
