import type { ConntrackEntry } from "@svcproxy/host";
import { formatSocketAddress, type IpAddress } from "@svcproxy/topology";
import type { UdpFrontends } from "./udp-frontends.ts";

export interface UdpChange {
  /** As the table was, and as it is: of all services, or of those that changed. */
  readonly before: UdpFrontends;
  readonly after: UdpFrontends;
}

/** Whether a change has to do with UDP at all. */
export function concernsUdp({ before, after }: UdpChange): boolean {
  return before.endpoints.size + before.orphans.size + after.endpoints.size > 0;
}

/**
 * Whether a flow goes where a new one would not: to an endpoint that is gone, or past a service that has come. Without help a client
 * that keeps on sending stays there for ever.
 */
export function isStale(
  flow: ConntrackEntry,
  { before, after, isHostAddress }: UdpChange & { readonly isHostAddress: (address: IpAddress) => boolean },
): boolean {
  const server = formatSocketAddress({ address: flow.server, port: flow.serverPort });
  const wanted = endpointsOf(flow, after, isHostAddress);
  // A service without endpoints sends nothing anywhere: what is translated goes to one that is gone.
  if (wanted !== undefined) return wanted.size > 0 ? !wanted.has(server) : isTranslated(flow);
  if (!isTranslated(flow)) return false;
  return endpointsOf(flow, before, isHostAddress)?.has(server) === true || before.orphans.has(server);
}

/** The endpoints of the frontend that a flow was sent to; undefined where that is not a frontend. */
function endpointsOf(
  { destination, destinationPort }: ConntrackEntry,
  { endpoints }: UdpFrontends,
  isHostAddress: (address: IpAddress) => boolean,
): ReadonlySet<string> | undefined {
  const nodePort = isHostAddress(destination) ? endpoints.get(`:${destinationPort}`) : undefined;
  return endpoints.get(`${destination}:${destinationPort}`) ?? nodePort;
}

function isTranslated({ destination, destinationPort, server, serverPort }: ConntrackEntry): boolean {
  return destination !== server || destinationPort !== serverPort;
}
