import type { Chain } from "@svcproxy/rules";
import type { ServicePortPlan } from "@svcproxy/topology";
import { choosesByTree, type DispatchMode } from "../dispatch/dispatch-mode.ts";
import { endpointRules } from "./endpoint-chains.ts";
import { type ServicePortChainsInput, servicePortChains } from "./service-port-chains.ts";

/** All chains of a service port in one family, with their rules. */
export interface WholeChains {
  readonly names: readonly string[];
  readonly rules: readonly Chain[];
  readonly endpoints: readonly Chain[];
}

/** What they were made of besides the port. */
type Made = readonly unknown[];

const known = new WeakMap<ServicePortPlan, { readonly of: Made; readonly chains: WholeChains }>();

/**
 * The very same chains for a port that is the same in another plan, so that whoever compares rules sees at once that they have not changed: of
 * thousands of services few change at a time.
 */
export function chainsOnce(
  port: ServicePortPlan,
  { dispatch, ...input }: ServicePortChainsInput & { readonly dispatch: DispatchMode },
): WholeChains {
  const { plan, family, name, isLarge } = input;
  const made: Made = [plan.host.addresses, plan.node, plan.podDetector, family, name, isLarge, dispatch];
  const before = known.get(port);
  if (before !== undefined && made.every((one, index) => one === before.of[index])) return before.chains;
  const { names, rules, endpoints } = servicePortChains(port, input);
  const chains = {
    names,
    // Without the room that a literal with a spread leaves.
    rules: rules.slice(),
    endpoints: endpoints.map((chain) => ({ name: chain.name, rules: endpointRules(port, { chain, name, isLarge }) })),
  };
  // A tree of groups is made anew each time, because ports share groups.
  if (!choosesByTree(port.port.endpoints.length, dispatch)) known.set(port, { of: made, chains });
  return chains;
}
