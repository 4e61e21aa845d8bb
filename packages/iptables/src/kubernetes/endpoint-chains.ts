import { hashName } from "@svcproxy/host";
import type { Match, Rule } from "@svcproxy/rules";
import type { Endpoint, ServicePortPlan } from "@svcproxy/topology";
import { formatSocketAddress } from "@svcproxy/topology";
import type { Choice, Chooser } from "../dispatch/create-chooser.ts";
import { MARK_MASQ } from "../rule-parts/chain-names.ts";
import {
  comment,
  hostCidr,
  isRemembered,
  moduleMatch,
  protocolMatch,
  remember,
  source,
} from "../rule-parts/matches.ts";
import { dnat, jump } from "../rule-parts/targets.ts";
import { HASH_LENGTH, type ServicePortName } from "./name-service-ports.ts";

/** The chain that leads to one endpoint of a service port. */
export interface EndpointChain {
  readonly name: string;
  readonly endpoint: Endpoint;
  /** `ip:port`, or `[ip]:port`. */
  readonly text: string;
}

export interface EndpointChainsInput {
  readonly name: ServicePortName;
  /** Set on large clusters: the rules of which there are most carry no comment. */
  readonly isLarge: boolean;
}

/** A chain for each endpoint, in kube-proxy's order: that of `ip:port` as text. */
export function endpointChains(
  { port: { protocol } }: ServicePortPlan,
  { endpoints, name }: { readonly endpoints: readonly Endpoint[]; readonly name: ServicePortName },
): readonly EndpointChain[] {
  return endpoints
    .map((endpoint) => {
      const text = formatSocketAddress(endpoint);
      return { name: `KUBE-SEP-${hashName(name.text + protocol + text, HASH_LENGTH)}`, endpoint, text };
    })
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
}

const TO_MARK_MASQ = jump(MARK_MASQ);

/** Marks a client that is the endpoint itself, and rewrites the destination. */
export function endpointRules(
  { port: { protocol }, affinity }: ServicePortPlan,
  { chain, name, isLarge }: EndpointChainsInput & { readonly chain: EndpointChain },
): readonly Rule[] {
  const note: readonly Match[] = isLarge ? [] : [comment(name.text)];
  const noted = affinity === undefined ? note : note.concat(remember(chain.name));
  // Of tens of thousands of rules: a literal with a spread in it would have room for seventeen matches.
  return [
    { matches: note.concat(source(hostCidr(chain.endpoint.address))), target: TO_MARK_MASQ },
    { matches: noted.concat(moduleMatch(protocol), protocolMatch(protocol)), target: dnat(chain.endpoint) },
  ];
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
  const choices = among.map(({ text, name: chain }): Choice => {
    const target = jump(chain);
    return isLarge ? { name: chain, target } : { name: chain, target, note: comment(`${name.text} -> ${text}`) };
  });
  const spread = chooser.choose(choices);
  if (affinity === undefined) return spread;
  const remembered = choices.map(({ name: chain, target, note }): Rule => {
    const known = isRemembered(chain, affinity.timeoutSeconds);
    return { matches: note === undefined ? [known] : [note, known], target };
  });
  return [...remembered, ...spread];
}
