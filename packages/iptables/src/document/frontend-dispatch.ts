import type { Match, Rule } from "@svcproxy/rules";
import type { Family, Frontend, IpAddress } from "@svcproxy/topology";
import { type Dispatch, type DispatchEntry, dispatchRules } from "../dispatch/build-dispatch.ts";
import type { FrontendBlock } from "../dispatch/frontend-block.ts";
import { MARK_MASQ, NODE_PORT_PREFIX, NODE_PORTS, VIP_PREFIX } from "../rule-parts/chain-names.ts";
import {
  destination,
  destinationPorts,
  hostCidr,
  moduleMatch,
  protocolMatch,
  TO_THIS_HOST,
} from "../rule-parts/matches.ts";
import { isGuarded, servesSomebody } from "../rule-parts/refused-frontends.ts";
import { jump } from "../rule-parts/targets.ts";
import type { ServiceChains } from "./service-chains.ts";

interface FrontendEntry extends DispatchEntry {
  readonly matches: readonly Match[];
  /** The rules that mark, so that the source is rewritten: whoever the client is, or where it is not a pod. */
  readonly marks: readonly Rule[];
  readonly chain: string;
}

/**
 * KUBE-SERVICES: every address that a service is reached at, the host's own (NodePorts) aside.
 *
 * @param options.notAPod ends the rule that marks those clients of a ClusterIP that are not pods, where the plan wants it
 */
export function frontendDispatch(
  services: readonly ServiceChains[],
  { notAPod, ...options }: { readonly family: Family; readonly byTree: boolean; readonly notAPod: Rule | undefined },
): Dispatch {
  const entries = services.flatMap((service) =>
    service.port.frontends
      .filter((frontend) => frontend.kind !== "nodePort" && servesSomebody(frontend))
      .flatMap((frontend) =>
        frontend.addresses.map((address) => frontendEntry(service, { frontend, address, notAPod })),
      ),
  );
  return dispatchRules(entries, {
    ...options,
    chainPrefix: VIP_PREFIX,
    blockMatches: documentMatches,
    leafRules: (leaf) => leaf.flatMap((entry) => [...entry.marks, jumpRule(entry)]),
  });
}

/** KUBE-NODEPORTS: as in the document, first everything that is marked, then where it goes. */
export function nodePortDispatch(
  services: readonly ServiceChains[],
  options: { readonly family: Family; readonly byTree: boolean },
): Dispatch {
  const entries = services.flatMap((service) =>
    nodePortsOf(service).map((frontend) => frontendEntry(service, { frontend })),
  );
  return dispatchRules(entries, {
    ...options,
    chainPrefix: NODE_PORT_PREFIX,
    blockMatches: documentMatches,
    leafRules: (leaf) => [...leaf.flatMap(({ marks }) => marks), ...leaf.map(jumpRule)],
  });
}

/** The rules that end KUBE-SERVICES: which packets are asked for a NodePort. */
export function nodePortTail(services: readonly ServiceChains[]): readonly Rule[] {
  const frontends = services.flatMap(nodePortsOf);
  if (frontends.some(({ everyHostAddress }) => everyHostAddress)) {
    return [{ matches: [TO_THIS_HOST], target: jump(NODE_PORTS) }];
  }
  const addresses = new Set(frontends.flatMap((frontend) => frontend.addresses));
  return [...addresses].map((address) => ({ matches: [destination(hostCidr(address))], target: jump(NODE_PORTS) }));
}

function nodePortsOf({ port }: ServiceChains): readonly Frontend[] {
  return port.frontends.filter((frontend) => frontend.kind === "nodePort" && servesSomebody(frontend));
}

function frontendEntry(
  { port: { port, service }, cluster, local, external, firewall }: ServiceChains,
  { frontend, address, notAPod }: { frontend: Frontend; address?: IpAddress; notAPod?: Rule | undefined },
): FrontendEntry {
  const block = { protocol: port.protocol, ports: { from: frontend.port, to: frontend.port } };
  const matches = documentMatches(address === undefined ? block : { ...block, cidr: hostCidr(address) });
  const policy = frontend.kind === "clusterIP" ? service.internalTrafficPolicy : service.externalTrafficPolicy;
  const direct = policy === "Cluster" ? cluster : frontend.kind === "clusterIP" ? local : external;
  const chain = isGuarded(frontend) ? firewall : direct;
  if (chain === undefined) throw new TypeError(`no chain serves port ${port.port} of ${service.name}`);
  return {
    ...(address !== undefined && { address }),
    protocol: port.protocol,
    port: frontend.port,
    matches,
    // EXT and FW chains mark for themselves.
    marks: chain === cluster || chain === local ? markRules(frontend, { matches, notAPod }) : [],
    chain: chain.name,
  };
}

function markRules(
  { clients }: Frontend,
  { matches, notAPod }: { matches: readonly Match[]; notAPod: Rule | undefined },
): readonly Rule[] {
  if (Object.values(clients).every(isRewritten)) return [{ matches, target: jump(MARK_MASQ) }];
  const { outside } = clients;
  if (notAPod === undefined || outside.kind !== "forward" || outside.masquerade !== "not-a-pod") return [];
  // Once for each service: a literal with a spread would have room for seventeen matches.
  return [{ matches: notAPod.matches.concat(matches), target: notAPod.target }];
}

/** Hairpins aside, for which the endpoint's chain marks, and the host's own connections, which the last rule rewrites. */
function isRewritten(handling: Frontend["clients"]["outside"]): boolean {
  return (
    handling.kind === "forward" && (handling.masquerade === "external" || handling.masquerade === "masquerade-all")
  );
}

function jumpRule({ matches, chain }: FrontendEntry): Rule {
  return { matches, target: jump(chain) };
}

/** `-d ADDRESS -p tcp -m tcp --dport PORT`, as the document writes it. */
export function documentMatches({ cidr, protocol, ports }: FrontendBlock): readonly Match[] {
  const matches: readonly Match[] = cidr === undefined ? [] : [destination(cidr)];
  if (protocol === undefined) return matches;
  const module = ports === undefined ? moduleMatch(protocol) : destinationPorts(protocol, ports);
  // Of each frontend: an array that grew would have room for seventeen.
  return matches.concat(protocolMatch(protocol), module);
}
