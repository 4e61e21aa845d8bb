import type { Chain, Rule } from "@svcproxy/rules";
import type { Endpoint, Family, Frontend, HostPlan, ServicePortPlan } from "@svcproxy/topology";
import { cidrContains } from "@svcproxy/topology";
import type { Chooser } from "../dispatch/create-chooser.ts";
import { MARK_MASQ } from "../rule-parts/chain-names.ts";
import { FROM_THIS_HOST, hostCidr, isRemembered, source } from "../rule-parts/matches.ts";
import { podMatch } from "../rule-parts/pod-match.ts";
import { isGuarded, servesSomebody } from "../rule-parts/refused-frontends.ts";
import { jump } from "../rule-parts/targets.ts";
import type { EndpointChains } from "./endpoint-chains.ts";

/** The chains of one service port in one family. A chain that nothing leads to is absent. */
export interface ServiceChains {
  readonly port: ServicePortPlan;
  /** All endpoints: KUBE-SVC-1. */
  readonly cluster: Chain | undefined;
  /** The endpoints on this host, for traffic policy Local: KUBE-SVL-1. */
  readonly local: Chain | undefined;
  /** From outside, where it takes more than a mark and a jump: KUBE-EXT-1. */
  readonly external: Chain | undefined;
  /** Who may use the load-balancer IPs: KUBE-FW-1. */
  readonly firewall: Chain | undefined;
}

export interface ServiceChainsInput {
  readonly plan: HostPlan;
  readonly family: Family;
  /** What ends the chain names. */
  readonly name: string;
  readonly endpoints: EndpointChains;
  readonly chooser: Chooser;
}

export function serviceChains(port: ServicePortPlan, input: ServiceChainsInput): ServiceChains {
  const { internalTrafficPolicy, externalTrafficPolicy } = port.service;
  const forwarded = port.frontends.filter(servesSomebody);
  const external = forwarded.filter(({ kind }) => kind !== "clusterIP");
  const isExternalLocal = external.length > 0 && externalTrafficPolicy === "Local";
  const guarded = external.filter(isGuarded);
  // Under policy Local the host itself and its pods may use every endpoint still.
  const usesCluster = external.length > 0 || (forwarded.length > 0 && internalTrafficPolicy === "Cluster");
  const usesLocal = isExternalLocal || (forwarded.length > 0 && internalTrafficPolicy === "Local");

  const chain = (kind: string, rules: readonly Rule[]): Chain => ({ name: `KUBE-${kind}-${input.name}`, rules });
  const cluster =
    usesCluster && port.clusterEndpoints.length > 0
      ? chain("SVC", choiceRules(port, { ...input, among: port.clusterEndpoints }))
      : undefined;
  const local =
    usesLocal && port.localEndpoints.length > 0
      ? chain("SVL", choiceRules(port, { ...input, among: port.localEndpoints }))
      : undefined;
  const fromOutside =
    isExternalLocal || guarded.length > 0
      ? chain("EXT", externalRules(port, { ...input, cluster: cluster?.name, local: local?.name }))
      : undefined;
  const firewall =
    guarded.length > 0 && fromOutside !== undefined
      ? chain("FW", firewallRules(guarded, { ...input, external: fromOutside.name }))
      : undefined;
  return { port, cluster, local, external: fromOutside, firewall };
}

/** A client that is remembered goes where it went before; the others are spread evenly. */
function choiceRules(
  port: ServicePortPlan,
  { among, endpoints, chooser }: ServiceChainsInput & { among: readonly Endpoint[] },
): readonly Rule[] {
  const choices = endpoints.of(port, among);
  const spread = chooser.choose(choices);
  if (port.affinity === undefined) return spread;
  const { timeoutSeconds } = port.affinity;
  const remembered = choices.map(
    ({ name, target }): Rule => ({ matches: [isRemembered(name, timeoutSeconds)], target }),
  );
  return [...remembered, ...spread];
}

function externalRules(
  port: ServicePortPlan,
  {
    plan,
    family,
    cluster,
    local,
  }: ServiceChainsInput & { readonly cluster: string | undefined; readonly local: string | undefined },
): readonly Rule[] {
  if (port.service.externalTrafficPolicy === "Cluster") {
    return [
      { matches: [], target: jump(MARK_MASQ) },
      ...(cluster === undefined ? [] : [{ matches: [], target: jump(cluster) }]),
    ];
  }
  const rules: Rule[] = [];
  if (cluster !== undefined) {
    const isPod = podMatch(plan.podDetector, family);
    rules.push(
      { matches: [FROM_THIS_HOST], target: jump(MARK_MASQ) },
      { matches: [FROM_THIS_HOST], target: jump(cluster) },
      ...(isPod === undefined ? [] : [{ matches: [isPod], target: jump(cluster) }]),
    );
  }
  if (local !== undefined) rules.push({ matches: [], target: jump(local) });
  return rules;
}

function firewallRules(
  guarded: readonly Frontend[],
  { plan, external }: ServiceChainsInput & { readonly external: string },
): readonly Rule[] {
  const ranges = guarded[0]?.sourceRanges ?? [];
  const isAllowedItself = plan.host.addresses.some((address) => ranges.some((range) => cidrContains(range, address)));
  // A host that owns the load-balancer IP reaches it from that very address.
  const itself = isAllowedItself ? guarded.flatMap(({ addresses }) => addresses.map(hostCidr)) : [];
  return [...ranges, ...itself].map((cidr) => ({ matches: [source(cidr)], target: jump(external) }));
}
