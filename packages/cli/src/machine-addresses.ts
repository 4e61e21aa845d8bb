import { networkInterfaces } from "node:os";
import type { HostState } from "@svcproxy/rules";
import { type IpAddress, parseIpAddress } from "@svcproxy/topology";
import { VIP_DEVICE } from "./vip-device.ts";

/** The addresses of this machine's interfaces; on a device for VIPs there are none of the host's own. */
export function machineAddresses(vipDevice: string | undefined = VIP_DEVICE): readonly IpAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([name, entries = []]) =>
    name === vipDevice ? [] : entries.flatMap(({ address }): IpAddress[] => toList(parseIpAddress(address))),
  );
}

/** The same by what was noted of a machine. */
export function notedAddresses({ interfaces }: HostState): readonly IpAddress[] {
  return interfaces.flatMap((device) =>
    device.name === VIP_DEVICE ? [] : device.addresses.map(({ address }) => address),
  );
}

function toList<T>(value: T | undefined): T[] {
  return value === undefined ? [] : [value];
}
