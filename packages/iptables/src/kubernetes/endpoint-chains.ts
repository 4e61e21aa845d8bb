import type { Chain, Rule } from "@svcproxy/rules";
import type { Endpoint, ServicePortPlan } from "@svcproxy/topology";
import { formatSocketAddress } from "@svcproxy/topology";
import type { Choice, Chooser } from "../dispatch/create-chooser.ts";
import { MARK_MASQ } from "../rule-parts/chain-names.ts";
import { hashName } from "../rule-parts/hash-name.ts";
import { comment, hostCidr, moduleMatch, protocolMatch, source } from "../rule-parts/matches.ts";
import { isRemembered, remember } from "../rule-parts/recent.ts";
import { dnat, jump } from "../rule-parts/targets.ts";
import { HASH_LENGTH, type ServicePortName } from "./name-service-ports.ts";

export interface EndpointChain {
  /** `ip:port`, or `[ip]:port`. */
  readonly text: string;
  readonly chain: Chain;
}

export interface EndpointChainsInput {
  readonly name: ServicePortName;
  /** Set on large clusters: the rules of which there are most carry no comment. */
  readonly isLarge: boolean;
}

/** A chain for each endpoint, in kube-proxy's order: that of `ip:port` as text. */
export function endpointChains(
  port: ServicePortPlan,
  { endpoints, ...input }: EndpointChainsInput & { readonly endpoints: readonly Endpoint[] },
): readonly EndpointChain[] {
  return endpoints
    .map((endpoint) => ({ endpoint, text: formatSocketAddress(endpoint) }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
    .map(({ endpoint, text }) => ({ text, chain: endpointChain(port, { ...input, endpoint, text }) }));
}

function endpointChain(
  { port: { protocol }, affinity }: ServicePortPlan,
  { endpoint, text, name, isLarge }: EndpointChainsInput & { readonly endpoint: Endpoint; readonly text: string },
): Chain {
  const chain = `KUBE-SEP-${hashName(name.text + protocol + text, HASH_LENGTH)}`;
  const note = isLarge ? [] : [comment(name.text)];
  const noted = affinity === undefined ? note : [...note, remember(chain)];
  return {
    name: chain,
    rules: [
      { matches: [...note, source(hostCidr(endpoint.address))], target: jump(MARK_MASQ) },
      { matches: [...noted, moduleMatch(protocol), protocolMatch(protocol)], target: dnat(endpoint) },
    ],
  };
}

/** First where a client went before, then one at random. */
export function choiceRules(
  { affinity }: ServicePortPlan,
  {
    among,
    name,
    isLarge,
    chooser,
  }: EndpointChainsInput & { readonly among: readonly EndpointChain[]; readonly chooser: Chooser },
): readonly Rule[] {
  const choices = among.map(({ text, chain }): Choice => {
    const choice = { chain: chain.name, target: jump(chain.name) };
    return isLarge ? choice : { ...choice, note: comment(`${name.text} -> ${text}`) };
  });
  const spread = chooser.choose(choices);
  if (affinity === undefined) return spread;
  const remembered = choices.map(({ chain, target, note }): Rule => {
    const known = isRemembered(chain, affinity.timeoutSeconds);
    return { matches: note === undefined ? [known] : [note, known], target };
  });
  return [...remembered, ...spread];
}
