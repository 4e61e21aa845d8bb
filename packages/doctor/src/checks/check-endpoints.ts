import { formatSocketAddress, type IpAddress } from "@svcproxy/topology";
import type { Cause, Sufferer } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";
import { causeOf, type Finding } from "../walk/finding.ts";
import type { Leaving } from "../walk/stop.ts";
import { listenerFinding } from "./listener-finding.ts";

/** What is known of endpoints besides what was seen. */
export interface EndpointSight {
  /** A look at the host from before the endpoints were dialled in vain; absent: nobody dialled them. */
  readonly before?: ObservedHost;
}

/**
 * Endpoints on a host that nobody serves: their pod is gone, or its program listens elsewhere, or accepts nothing. Of what nobody dialled
 * only that is told which needs no connection to be sure of.
 */
export function checkEndpoints(leaving: readonly Leaving[], options: EndpointSight): readonly Cause[] {
  const local = leaving.filter(({ at, endpoint }) => endpoint.host === at.name);
  const byEndpoint = Map.groupBy(local, ({ endpoint, protocol }) => `${protocol} ${formatSocketAddress(endpoint)}`);
  return [...byEndpoint.values()].flatMap((ways): readonly Cause[] => {
    const [first] = ways;
    const finding = first === undefined ? undefined : endpointFinding(first, options);
    if (first === undefined || finding === undefined) return [];
    return [causeOf(finding, { host: first.at.name, sufferers: ways.map(({ sufferer }): Sufferer => sufferer) })];
  });
}

function endpointFinding(way: Leaving, options: EndpointSight): Finding | undefined {
  const { at, endpoint, protocol } = way;
  const pod = at.podAt(endpoint.address);
  if (pod !== undefined) {
    const { listeners, listenOverflows, pid } = pod;
    const earlier = options.before?.podAt(endpoint.address);
    const dialled =
      options.before === undefined || earlier === pod ? {} : { overflowsBefore: earlier?.listenOverflows ?? 0 };
    const listening = { listeners, listenOverflows, pid, isDialled: options.before !== undefined, ...dialled };
    return listenerFinding(listening, { endpoint, protocol });
  }
  if (at.pods.some(({ addresses }) => addresses.includes(endpoint.address))) return undefined;
  return goneFinding(way, options);
}

function goneFinding(way: Leaving, { before }: EndpointSight): Finding | undefined {
  const { at, endpoint } = way;
  const neighbour = at.snapshot.neighbours.find(({ address }) => address === endpoint.address);
  // The kernel may forget whom it asked in vain.
  const isForgotten = before !== undefined && neighbour === undefined && isAskedForByArp(way);
  const isUnanswered =
    isForgotten || (neighbour?.states.some((state) => state === "FAILED" || state === "INCOMPLETE") ?? false);
  // Pods without a process that may be looked at are not seen either, and a virtual machine has none.
  const seesPods = at.pods.some(({ addresses }) => addresses.some((address) => isPodAddress(at, address)));
  const mayBeThere = before === undefined && neighbour?.mac !== undefined && !isUnanswered;
  const isUnseen = seesPods && isPodAddress(at, endpoint.address) && !mayBeThere;
  if (!isUnanswered && !isUnseen) return undefined;
  return {
    code: "POD_GONE",
    subject: `endpoint ${formatSocketAddress(endpoint)}`,
    text: `Nobody has the address ${endpoint.address} of endpoint ${endpoint.pod ?? formatSocketAddress(endpoint)} any more`,
    evidence: [
      ...(isUnanswered
        ? [
            `it does not answer ARP: ip neigh has ${neighbour === undefined ? "no entry for it, although it was dialled" : `it as ${neighbour.states.join(", ")}`}`,
          ]
        : []),
      ...(isUnseen ? ["no network namespace of this host has it"] : []),
    ],
    suspect: "the source of the topology is old, or the pod's network was taken down",
    remedy: [],
    hint: "Look whether the pod runs; else take the endpoint out of the topology",
  };
}

function isAskedForByArp({ at, endpoint, interface: out, nextHop }: Leaving): boolean {
  return (
    nextHop === endpoint.address && at.snapshot.links.some(({ name, usesArp, isUp }) => name === out && usesArp && isUp)
  );
}

function isPodAddress({ plan }: ObservedHost, address: IpAddress): boolean {
  return plan.host.pods.some(({ addresses }) => addresses.some((own) => own.address === address));
}
