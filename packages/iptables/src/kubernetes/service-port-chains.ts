import type { Chain, Match, Rule } from "@svcproxy/rules";
import type { Family, Frontend, HostPlan, ServicePortPlan } from "@svcproxy/topology";
import { cidrContains, familyOf } from "@svcproxy/topology";
import type { Chooser } from "../dispatch/create-chooser.ts";
import { MARK_MASQ } from "../rule-parts/chain-names.ts";
import { comment, FROM_THIS_HOST, hostCidr, source } from "../rule-parts/matches.ts";
import { podMatch } from "../rule-parts/pod-match.ts";
import { isGuarded, servesSomebody } from "../rule-parts/refused-frontends.ts";
import { jump, NO_TARGET } from "../rule-parts/targets.ts";
import { choiceRules, type EndpointChain, endpointChains } from "./endpoint-chains.ts";
import { kubernetesMatches, sourceBlock } from "./kubernetes-matches.ts";
import type { ServicePortName } from "./name-service-ports.ts";

export interface ServicePortChainsInput {
  readonly plan: HostPlan;
  readonly family: Family;
  readonly name: ServicePortName;
  /** Set on large clusters: the rules of which there are most carry no comment. */
  readonly isLarge: boolean;
  /** Ends the rule that marks a ClusterIP's clients; undefined where none are marked. */
  readonly notAPod: Rule | undefined;
  readonly chooser: Chooser;
}

/** Names of a service port's chains; which of them exist depends on its endpoints and policies. */
export interface ServicePortChainNames {
  /** All endpoints. */
  readonly cluster: string;
  /** Those on this host. */
  readonly local: string;
  readonly external: string;
  readonly firewall: string;
  /** Where a ClusterIP leads: `cluster`, or `local` under internal policy Local. */
  readonly internal: string;
}

export function chainNames({ service }: ServicePortPlan, { hash }: ServicePortName): ServicePortChainNames {
  const cluster = `KUBE-SVC-${hash}`;
  const local = `KUBE-SVL-${hash}`;
  return {
    cluster,
    local,
    external: `KUBE-EXT-${hash}`,
    firewall: `KUBE-FW-${hash}`,
    internal: service.internalTrafficPolicy === "Local" ? local : cluster,
  };
}

/** The chains of a service port in one family, in kube-proxy's order. */
export interface ServicePortChains {
  /** KUBE-EXT-…, KUBE-FW-…, KUBE-SVC-…, KUBE-SVL-… */
  readonly names: readonly string[];
  /** Rules 7 to 12 of what kube-proxy writes for it: the one that marks, ahead of all others, has the chain come twice. */
  readonly rules: readonly Chain[];
  /** KUBE-SEP-…: rule 13. */
  readonly endpoints: readonly EndpointChain[];
}

export function servicePortChains(port: ServicePortPlan, input: ServicePortChainsInput): ServicePortChains {
  const { internalTrafficPolicy, externalTrafficPolicy } = port.service;
  const names = chainNames(port, input.name);
  const served = port.frontends.filter(servesSomebody);
  const isExternal = served.some(({ kind }) => kind !== "clusterIP");
  const guarded = served.filter(isGuarded);

  // Under external policy Local the node itself and its pods may use every endpoint still.
  const usesCluster = isExternal || (served.length > 0 && internalTrafficPolicy === "Cluster");
  const usesLocal =
    (isExternal && externalTrafficPolicy === "Local") || (served.length > 0 && internalTrafficPolicy === "Local");
  const cluster = usesCluster ? endpointChains(port, { name: input.name, endpoints: port.clusterEndpoints }) : [];
  const local = usesLocal ? endpointChains(port, { name: input.name, endpoints: port.localEndpoints }) : [];
  const choice = (name: string, among: readonly EndpointChain[]): Chain[] =>
    among.length === 0 ? [] : [{ name, rules: choiceRules(port, { ...input, among }) }];
  const fromOutside = { ...input, names, hasLocal: local.length > 0 };
  const chains = [
    ...(isExternal ? [{ name: names.external, rules: externalRules(port, fromOutside) }] : []),
    ...(guarded.length > 0 ? [{ name: names.firewall, rules: firewallRules(guarded, fromOutside) }] : []),
    ...choice(names.cluster, cluster),
    ...choice(names.local, local),
  ];
  const marking = chains.some(({ name }) => name === names.internal) ? clusterIpMarking(port, input) : [];
  return {
    names: chains.map(({ name }) => name),
    rules: marking.length === 0 ? chains : [{ name: names.internal, rules: marking }, ...chains],
    endpoints: local.length === 0 ? cluster : withoutDoubles([...cluster, ...local]),
  };
}

/** An endpoint of both policies has one chain. */
function withoutDoubles(endpoints: readonly EndpointChain[]): readonly EndpointChain[] {
  return [...new Map(endpoints.map((chain) => [chain.name, chain])).values()];
}

function clusterIpMarking(port: ServicePortPlan, { name, notAPod }: ServicePortChainsInput): readonly Rule[] {
  if (notAPod === undefined) return [];
  const note: readonly Match[] = [comment(`${name.text} cluster IP`)];
  const rules = port.frontends
    .filter(({ kind }) => kind === "clusterIP")
    .flatMap((frontend) =>
      frontend.addresses.map((address) => {
        const [cidr, ports] = [hostCidr(address), { from: frontend.port, to: frontend.port }];
        const dialled = kubernetesMatches({ cidr, protocol: port.port.protocol, ports });
        return { matches: note.concat(dialled, notAPod.matches), target: notAPod.target };
      }),
    );
  return rules.slice();
}

interface FromOutside extends ServicePortChainsInput {
  readonly names: ServicePortChainNames;
  /** Whether there are endpoints for policy Local. */
  readonly hasLocal: boolean;
}

function externalRules(port: ServicePortPlan, { plan, family, name, names, hasLocal }: FromOutside): readonly Rule[] {
  const toCluster = jump(names.cluster);
  if (port.service.externalTrafficPolicy === "Cluster") {
    return [
      { matches: [comment(`masquerade traffic for ${name.text} external destinations`)], target: jump(MARK_MASQ) },
      { matches: [], target: toCluster },
    ];
  }
  const isPod = podMatch(plan.podDetector, family);
  const fromPods = comment(`pod traffic for ${name.text} external destinations`);
  const masqueradeLocal = comment(`masquerade LOCAL traffic for ${name.text} external destinations`);
  const routeLocal = comment(`route LOCAL traffic for ${name.text} external destinations`);
  return [
    ...(isPod === undefined ? [] : [{ matches: [fromPods, isPod], target: toCluster }]),
    { matches: [masqueradeLocal, FROM_THIS_HOST], target: jump(MARK_MASQ) },
    { matches: [routeLocal, FROM_THIS_HOST], target: toCluster },
    ...(hasLocal ? [{ matches: [], target: jump(names.local) }] : []),
  ];
}

function firewallRules(guarded: readonly Frontend[], { plan, family, name, names }: FromOutside): readonly Rule[] {
  const ranges = guarded[0]?.sourceRanges ?? [];
  const note = comment(`${name.text} loadbalancer IP`);
  const nodeAddress = plan.host.addresses.find((address) => familyOf(address) === family);
  const isAllowedItself = nodeAddress !== undefined && ranges.some((range) => cidrContains(range, nodeAddress));
  // A node that owns the load-balancer IP reaches it from that very address.
  const itself = isAllowedItself ? guarded.flatMap(({ addresses }) => addresses.map(hostCidr)) : [];
  const allowed = [...ranges.map(sourceBlock), ...itself.map(source)];
  return [
    ...allowed.map((match) => ({ matches: [note, match], target: jump(names.external) })),
    {
      matches: [comment(`other traffic to ${name.text} will be dropped by KUBE-PROXY-FIREWALL`)],
      target: NO_TARGET,
    },
  ];
}
