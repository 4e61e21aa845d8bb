import { networkInterfaces } from "node:os";
import { addressWidth, EnvironmentError, familyOf, type IpAddress, parseIpAddress } from "@svcproxy/topology";
import { outOfDescriptors, systemReason } from "../tools/system-error.ts";

/** The device that is made for VIPs, unless another is named: addresses there are none of the host's own. */
export const VIP_DEVICE = "svcproxy0";

/** An address of this machine, on a device that is up. */
export interface MachineAddress {
  readonly device: string;
  readonly address: IpAddress;
  readonly prefixLength: number;
  readonly isLoopback: boolean;
}

export interface AddressReading {
  /** In the kernel's order. */
  readonly addresses: readonly MachineAddress[];
  /** Why they could not be read now: `addresses` are then those that were read last, or none. */
  readonly fault?: EnvironmentError;
}

let lastRead: readonly MachineAddress[] = [];
let lastReadAtMs = Number.NEGATIVE_INFINITY;

/** Whoever makes one plan after the other reads them at most so often. */
const RECENT_MS = 1_000;

/** The addresses of this network namespace as they were at most a second ago. Never throws. */
export function readRecentAddresses(): AddressReading {
  return performance.now() - lastReadAtMs < RECENT_MS ? { addresses: lastRead } : readAddresses();
}

/** The addresses of this network namespace. Never throws: a process without a descriptor to spare goes by what it knew. */
export function readAddresses(): AddressReading {
  try {
    lastRead = parseInterfaces(networkInterfaces());
    lastReadAtMs = performance.now();
    return { addresses: lastRead };
  } catch (cause) {
    const doing = "Cannot read this machine's addresses";
    const fault =
      outOfDescriptors(doing, cause) ??
      new EnvironmentError("ADDRESSES_UNREADABLE", `${doing}: ${systemReason(cause)}`, { cause });
    return { addresses: lastRead, fault };
  }
}

/** Node's answer as addresses; what is no address is left out. */
export function parseInterfaces(interfaces: ReturnType<typeof networkInterfaces>): readonly MachineAddress[] {
  return Object.entries(interfaces).flatMap(([device, entries = []]) =>
    entries.flatMap((entry) => {
      const address = parseIpAddress(entry.address);
      if (address === undefined) return [];
      const [, length] = (entry.cidr ?? "").split("/");
      const prefixLength = length === undefined ? addressWidth(familyOf(address)) : Number(length);
      return [{ device, address, prefixLength, isLoopback: entry.internal }];
    }),
  );
}
