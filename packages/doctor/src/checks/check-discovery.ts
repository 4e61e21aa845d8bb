import { traceToJson } from "@svcproxy/rules";
import { familyOf, formatSocketAddress, InputError, type IpAddress } from "@svcproxy/topology";
import type { Cause } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";
import { causesOfStops } from "../walk/causes-of-stops.ts";
import { stopOfEnding } from "../walk/read-branch.ts";
import type { Leaving, Stop } from "../walk/stop.ts";

const ADVERTISEMENT = { type: 136, code: 0 };

/**
 * Rules of a host that drop what neighbours answer when it asks for their MAC addresses: IPv6 does that by packets that come by rules as all
 * others do, where IPv4 has ARP.
 *
 * @param leaving ways to endpoints that gave no answer
 */
export function checkDiscovery(leaving: readonly Leaving[]): readonly Cause[] {
  return leaving.flatMap((way): readonly Cause[] => {
    const { at, endpoint, sufferer } = way;
    const neighbour = familyOf(endpoint.address) === 6 ? neighbourOf(way) : undefined;
    const why = neighbour === undefined ? undefined : advertisementStop(at, neighbour);
    if (why === undefined) return [];
    const stop: Stop = { at, family: 6, isReply: true, sufferer, why };
    return causesOfStops([stop]).map((cause) => ({ ...cause, endpoints: [formatSocketAddress(endpoint)] }));
  });
}

/** Whom the host asks on the way there: the endpoint itself, or the other host, where it did not answer. */
function neighbourOf({ at, endpoint, interface: out, nextHop }: Leaving): Neighbour | undefined {
  if (nextHop === endpoint.address) return { from: endpoint.address, out };
  const peer = at.plan.hosts
    .find(({ name }) => name === endpoint.host)
    ?.addresses.find((address) => familyOf(address) === 6);
  if (peer === undefined) return undefined;
  const answer = at.router.lookup({ destination: peer, mark: 0, inInterface: "lo" });
  const device = answer.kind === "found" ? answer.route.interface : undefined;
  const isSilent = at.snapshot.neighbours.some(
    ({ address, interface: name, mac }) => address === peer && name === device && mac === undefined,
  );
  return device === undefined || !isSilent ? undefined : { from: peer, out: device };
}

interface Neighbour {
  readonly from: IpAddress;
  readonly out: string;
}

function advertisementStop(at: ObservedHost, { from, out }: Neighbour): Stop["why"] | undefined {
  const to = at.router.interfaceOf(out)?.addresses.find(({ address }) => familyOf(address) === 6)?.address;
  if (to === undefined) return undefined;
  try {
    const trace = at.tracer(6)?.trace({
      ...{ from, to, inInterface: out, protocol: "icmp", icmp: ADVERTISEMENT, state: "UNTRACKED" },
    });
    const [branch] = trace?.branches ?? [];
    if (trace === undefined || branch?.kind !== "decided") return undefined;
    const { ending, state } = branch.ended;
    if (ending.kind !== "dropped" && ending.kind !== "refused") return undefined;
    const why = stopOfEnding({ ending, state, steps: traceToJson(trace).branches[0]?.steps ?? [] });
    return why.kind === "rule" || why.kind === "policy" ? why : undefined;
  } catch (error) {
    // No such packet comes in here.
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
