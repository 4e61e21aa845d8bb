import { type Family, familyOf } from "../address.ts";
import type { Endpoint, Host, Service, ServicePort } from "../model.ts";

export interface EndpointChoice {
  readonly cluster: readonly Endpoint[];
  readonly local: readonly Endpoint[];
  readonly hasEndpoints: boolean;
}

/**
 * The endpoints that traffic under policy Cluster and under policy Local may use from `host`.
 *
 * Each falls back on its own to endpoints that are serving while they terminate. Local ones ignore hints.
 * @see kubernetes pkg/proxy/topology.go, CategorizeEndpoints
 */
export function chooseEndpoints(
  listed: readonly Endpoint[],
  { family, host }: { readonly family: Family; readonly host: Host },
): EndpointChoice {
  const endpoints = only(listed, (endpoint) => familyOf(endpoint.address) === family);
  const local = endpoints.filter((endpoint) => endpoint.host === host.name);
  const hinted = followHints(only(endpoints, isReady), host);
  const cluster = hinted.length > 0 ? hinted : endpoints.filter(servesWhileTerminating);
  const localReady = only(local, isReady);
  return {
    cluster,
    local: localReady.length > 0 ? localReady : local.filter(servesWhileTerminating),
    hasEndpoints: cluster.length > 0,
  };
}

/** Those that pass; the list itself where all do, which is the rule. */
function only(endpoints: readonly Endpoint[], passes: (endpoint: Endpoint) => boolean): readonly Endpoint[] {
  return endpoints.every(passes) ? endpoints : endpoints.filter(passes);
}

function isReady({ ready }: Endpoint): boolean {
  return ready;
}

function servesWhileTerminating(endpoint: Endpoint): boolean {
  return endpoint.serving && endpoint.terminating;
}

/** Hints count only where every ready endpoint has one and one of them names this host, or else its zone. */
function followHints(ready: readonly Endpoint[], host: Host): readonly Endpoint[] {
  const named = (names: (endpoint: Endpoint) => readonly string[], self: string | undefined) => {
    if (self === undefined || ready.some((endpoint) => names(endpoint).length === 0)) return [];
    return ready.filter((endpoint) => names(endpoint).includes(self));
  };
  const sameNode = named((endpoint) => endpoint.hints.nodes, host.name);
  if (sameNode.length > 0) return sameNode;
  const sameZone = named((endpoint) => endpoint.hints.zones, host.zone);
  return sameZone.length > 0 ? sameZone : ready;
}

/** Whether anything but a ClusterIP leads to this port in a family. */
export function isExternallyReachable(
  { externalIPs, loadBalancerIPs }: Service,
  { port, family }: { readonly port: ServicePort; readonly family: Family },
): boolean {
  return (
    port.nodePort !== undefined ||
    [...externalIPs, ...loadBalancerIPs].some(
      (address) => familyOf(address) === family && port.takenAt?.includes(address) !== true,
    )
  );
}
