import { readRecentAddresses, VIP_DEVICE } from "@svcproxy/host";
import type { HostState } from "@svcproxy/rules";
import type { IpAddress } from "@svcproxy/topology";

/**
 * The addresses of this machine's interfaces; on a device for VIPs there are none of the host's own.
 *
 * @throws EnvironmentError OUT_OF_DESCRIPTORS, ADDRESSES_UNREADABLE where they were never read
 */
export function machineAddresses(vipDevice: string | undefined = VIP_DEVICE): readonly IpAddress[] {
  const { addresses, fault } = readRecentAddresses();
  if (fault !== undefined && addresses.length === 0) throw fault;
  return addresses.flatMap(({ device, address }) => (device === vipDevice ? [] : [address]));
}

/** The same by what was noted of a machine. */
export function notedAddresses({ interfaces }: HostState): readonly IpAddress[] {
  return interfaces.flatMap((device) =>
    device.name === VIP_DEVICE ? [] : device.addresses.map(({ address }) => address),
  );
}
