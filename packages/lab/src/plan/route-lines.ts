import { addressWidth, type Family, familyOf, type IpAddress } from "@svcproxy/topology";

/** `ip -batch` lines. Duplicate-address detection is skipped: it would take seconds, and nobody else is there. */
export function addAddress(address: IpAddress, prefixLength: number, dev: string): string {
  return `addr add ${address}/${prefixLength} dev ${dev}${familyOf(address) === 6 ? " nodad" : ""}`;
}

export function defaultRoute(gateway: IpAddress): string {
  return `route add ${familyOf(gateway) === 4 ? "0.0.0.0/0" : "::/0"} via ${gateway} dev eth0 onlink`;
}

/** The block that holds just this address. */
export function single(address: IpAddress): string {
  return `${address}/${widthOf(address)}`;
}

export function widthOf(address: IpAddress): number {
  return addressWidth(familyOf(address));
}

/** The pod bridge's address for pods outside of any podCIDR, as Calico has it. */
export function linkLocalGateway(family: Family): string {
  return family === 4 ? "169.254.1.1" : "fe80::1:1";
}
