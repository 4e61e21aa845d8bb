import { cidrContains, cidrOf, familyOf, type IpAddress } from "@svcproxy/topology";
import type { NetworkInterface } from "./host-state.ts";
import type { HostView } from "./routing.ts";

/** Whether an interface is a bridge, with ports of its own. */
export function isBridge({ linkKind }: NetworkInterface): boolean {
  return linkKind === "bridge";
}

const TUNNELS: readonly string[] = ["vxlan", "geneve", "ipip", "gre", "sit", "ip6tnl", "wireguard", "tun"];

/** Whether an interface leads to other hosts through packets of packets. */
export function isTunnel({ linkKind, name }: NetworkInterface): boolean {
  return linkKind === undefined ? /^(flannel|vxlan|cilium_vxlan|wg|tunl)/.test(name) : TUNNELS.includes(linkKind);
}

/** Whether an address is in a subnet of the interface. */
export function isOnLink({ addresses }: NetworkInterface, address: IpAddress): boolean {
  return addresses.some(
    (own) =>
      familyOf(own.address) === familyOf(address) && cidrContains(cidrOf(own.address, own.prefixLength), address),
  );
}

/** Whether iptables sees what the host's bridges switch. */
export function bridgeAsksRules({ router }: HostView, family: 4 | 6): boolean {
  return router.sysctl(`net.bridge.bridge-nf-call-${family === 4 ? "iptables" : "ip6tables"}`) === 1;
}

export function isLoopbackAddress(address: IpAddress): boolean {
  return address.startsWith("127.") || address === "::1";
}

/** Whether a switch of `net.ipv4.conf` is on for the interface, or for all. */
export function hasFlag({ router }: HostView, device: string, flag: string): boolean {
  return router.sysctl(`net.ipv4.conf.all.${flag}`) === 1 || router.sysctl(`net.ipv4.conf.${device}.${flag}`) === 1;
}

export function isLoopback({ router }: HostView, name: string | undefined): boolean {
  return name === "lo" || (name !== undefined && router.interfaceOf(name)?.isLoopback === true);
}

export function loopbackName({ state }: HostView): string {
  return state.interfaces.find(({ isLoopback: found }) => found)?.name ?? "lo";
}
