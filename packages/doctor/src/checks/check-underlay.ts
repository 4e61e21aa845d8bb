import type { IpAddress } from "@svcproxy/topology";
import type { ObservedHost } from "../observation.ts";
import type { Finding } from "../walk/finding.ts";

/** Another host, at one of its own addresses. */
export interface PeerAddress {
  readonly peer: ObservedHost;
  readonly address: IpAddress;
}

/**
 * A MAC address that somebody wrote down on a host for another one on the same network, and that the other one does not have. What ARP
 * found is no sign: networks of clouds answer for their hosts by one address of their own.
 *
 * @param at the host that sends
 */
export function strangeMac(at: ObservedHost, { peer, address }: PeerAddress): Finding | undefined {
  const answer = at.router.lookup({ destination: address, mark: 0, inInterface: "lo" });
  // A router between them has a MAC address of its own.
  if (answer.kind !== "found" || answer.route.gateway !== undefined) return undefined;
  const { interface: out } = answer.route;
  const neighbour = at.snapshot.neighbours.find((one) => one.interface === out && one.address === address);
  const holder = peer.snapshot.hostState.interfaces.find(({ addresses }) =>
    addresses.some((own) => own.address === address),
  );
  const mac = peer.snapshot.links.find(({ name }) => name === holder?.name)?.address;
  if (out === undefined || neighbour?.mac === undefined || mac === undefined) return undefined;
  if (neighbour.mac.toLowerCase() === mac.toLowerCase() || !neighbour.states.includes("PERMANENT")) return undefined;
  return {
    code: "NEIGHBOUR_WRONG",
    subject: `neighbour ${address} on ${out}`,
    text: `${out} sends what is for ${peer.name} to the MAC address ${neighbour.mac}, and ${peer.name} has ${mac}`,
    evidence: [
      `ip neigh has ${address} as ${neighbour.mac}, PERMANENT, so that nobody is asked`,
      `ip link on ${peer.name}: ${holder?.name} has ${mac}`,
    ],
    suspect: "somebody who wrote the entry by hand, or a program that did not take it away",
    remedy: [`ip neigh del ${address} dev ${out}`],
  };
}
