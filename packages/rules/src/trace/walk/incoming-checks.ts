import type { Family, IpAddress } from "@svcproxy/topology";
import type { Route } from "../../host/host-state.ts";
import { hasFlag, isLoopback, isLoopbackAddress } from "../../host/interface-kind.ts";
import type { RouteAnswer } from "../../host/policy-routing.ts";
import { checkReversePath, type ReversePathCheck } from "../../host/reverse-path.ts";
import type { HostView } from "../../host/routing.ts";
import type { PacketView } from "../packet/packet-view.ts";

/** Addresses that mean something on one link only are looked for on that link. @see linux rt6_need_strict */
export function needsStrictInterface({ family, destination }: PacketView): boolean {
  return family === 6 && (destination === "::1" || /^(fe[89ab][0-9a-f]|ff[0-9a-f]{2}):/.test(destination));
}

export function isForHost(answer: RouteAnswer): boolean {
  return answer.kind === "found" && ["local", "broadcast", "multicast", "anycast"].includes(answer.route.type);
}

/**
 * The setting that keeps the host from forwarding what comes in by a device; undefined: it forwards. IPv4 asks each device for its own,
 * and `ip_forward` only writes them all; IPv6 asks one for all. @see linux IN_DEV_FORWARD, ip6_forward
 */
export function forwardingOff(
  { router }: Pick<HostView, "router">,
  { family, device = "" }: { readonly family: Family; readonly device: string | undefined },
): string | undefined {
  if (family === 6)
    return router.sysctl("net.ipv6.conf.all.forwarding") === 1 ? undefined : "net.ipv6.conf.all.forwarding";
  const isOn = router.sysctl("net.ipv4.ip_forward") === 1 || router.sysctl("net.ipv4.conf.all.forwarding") === 1;
  const own = `net.ipv4.conf.${device}.forwarding`;
  const ofDevice = router.sysctl(own);
  if (ofDevice === undefined ? isOn : ofDevice === 1) return undefined;
  return isOn ? own : "net.ipv4.ip_forward";
}

/** @param sysctl as `forwardingOff` names it */
export function notForwardingText(sysctl: string): string {
  return sysctl.startsWith("net.ipv4.conf.")
    ? `the host does not forward what comes in there (${sysctl} is 0)`
    : `the host does not forward (${sysctl} is 0)`;
}

/** What IPv6 throws away before any rule sees it. @see linux ip6_rcv_core */
export function unreadableReason(host: HostView, packet: PacketView): string | undefined {
  const { family, source, destination, inInterface } = packet;
  if (family === 4 || isLoopback(host, inInterface)) return undefined;
  if (source === "::1") return "::1 came in from outside";
  if (destination === "::1") return "::1 was dialled from outside";
  if (host.router.addressType(source) === "MULTICAST") return `its source ${source} is a multicast address`;
  return /^ff[0-9a-f][01]:/.test(destination) ? `${destination} does not leave its host` : undefined;
}

/** Addresses that the kernel takes from no wire. @see linux ip_route_input_slow */
export function martianReason(host: HostView, packet: PacketView): string | undefined {
  const { router } = host;
  const { source, destination, inInterface = "" } = packet;
  if (packet.family === 6) return undefined;
  const type = router.addressType(source);
  if (type === "MULTICAST") return `its source ${source} is a multicast address`;
  if (type === "BROADCAST" && !(source === "0.0.0.0" && destination === "255.255.255.255"))
    return `its source ${source} is a broadcast address${deviceTowards(host, source)}`;
  if (isLoopback(host, inInterface)) return undefined;
  const takesLoopback = hasFlag(host, inInterface, "route_localnet");
  if (isLoopbackAddress(source) && !takesLoopback) return `${source} came in from outside (no route_localnet)`;
  if (isLoopbackAddress(destination) && !takesLoopback)
    return `${destination} was dialled from outside (no route_localnet)`;
  return undefined;
}

/** By whose addresses it is one: a mask that is too long makes a neighbour's address one. */
function deviceTowards({ router }: HostView, address: IpAddress): string {
  const answer = router.lookup({ destination: address, mark: 0, inInterface: "lo" });
  const device = answer.kind === "found" ? answer.route.interface : undefined;
  return device === undefined ? "" : ` by an address of ${device} and its mask`;
}

/**
 * What was sent to all on the link is not passed on to another host, whatever it was translated to, and connections do
 * not begin with it. @see linux ip_forward, ip6_forward, tcp_v4_rcv, sctp_rcv
 */
export function frameReason({ frame, protocol }: PacketView, to: "host" | "elsewhere"): string | undefined {
  if (frame === "unicast") return undefined;
  if (to === "elsewhere") return `it came as a ${frame}, which is not passed on`;
  return ["tcp", "sctp", "dccp"].includes(protocol)
    ? `it came as a ${frame}, which ${protocol} does not take`
    : undefined;
}

/** @param route where it goes on, or stays */
export function reversePath(host: HostView, packet: PacketView, route: Route): ReversePathCheck {
  const { router } = host;
  const { family, source, destination, inInterface = "" } = packet;
  if (family === 6 || isLoopback(host, inInterface)) return { kind: "passed" };
  const mode = Math.max(
    router.sysctl("net.ipv4.conf.all.rp_filter") ?? 0,
    router.sysctl(`net.ipv4.conf.${inInterface}.rp_filter`) ?? 0,
  );
  const acceptLocal = hasFlag(host, inInterface, "accept_local");
  if (mode === 0) {
    return router.isLocal(source) && !acceptLocal
      ? { kind: "failed", because: `${source} is the host's own address, and came in from outside` }
      : { kind: "passed" };
  }
  const mark = hasFlag(host, inInterface, "src_valid_mark") ? packet.mark : 0;
  return checkReversePath(router, {
    source,
    destination,
    inInterface,
    outInterface: route.type === "unicast" ? route.interface : undefined,
    mark,
    tos: packet.tos,
    mode: mode === 2 ? "loose" : "strict",
    acceptLocal,
  });
}
