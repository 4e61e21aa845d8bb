import type { InsertedRule } from "@svcproxy/rules";
import type { Family, HostPlan } from "@svcproxy/topology";
import type { Dispatch } from "../dispatch/build-dispatch.ts";
import { EXTERNAL_SERVICES, FIREWALL, NODE_PORTS, PROXY_FIREWALL, SERVICES } from "../rule-parts/chain-names.ts";
import { filterContents } from "../rule-parts/filter-contents.ts";
import { localhostGuard, servesLocalhost } from "../rule-parts/localhost-guard.ts";
import { NEW_CONNECTION } from "../rule-parts/matches.ts";
import { jump } from "../rule-parts/targets.ts";
import type { Section } from "../script/script.ts";
import { documentMatches } from "./frontend-dispatch.ts";

interface FilterChain {
  readonly name: string;
  readonly purpose: string;
  readonly content: Dispatch;
  /** Built-in chains that jump to it. */
  readonly from: readonly string[];
  /** Asked for the first packet of a connection only. */
  readonly onlyNew: boolean;
}

/** The filter table: empty in the document, and here as long as every client gets an endpoint. */
export function filterSections(
  plan: HostPlan,
  { family, byTree }: { readonly family: Family; readonly byTree: boolean },
): readonly Section[] {
  const contents = filterContents(plan, {
    family,
    byTree,
    blockMatches: documentMatches,
    notes: () => [],
    nodePortsEverywhere: false,
    healthCheckEachPort: false,
  });
  const guard = { rules: servesLocalhost(plan, family) ? [localhostGuard()] : [], chains: [] };
  const chains: FilterChain[] = [
    {
      name: SERVICES,
      purpose: "a client of a ClusterIP that nobody serves is told so",
      content: contents.clusterIPs,
      from: ["FORWARD", "OUTPUT"],
      onlyNew: true,
    },
    {
      name: EXTERNAL_SERVICES,
      purpose: "so is a client of any other address or NodePort",
      content: contents.external,
      from: ["INPUT", "FORWARD", "OUTPUT"],
      onlyNew: true,
    },
    {
      name: PROXY_FIREWALL,
      purpose: "who is not in the source ranges gets no answer",
      content: contents.outsideRanges,
      from: ["INPUT", "FORWARD", "OUTPUT"],
      onlyNew: true,
    },
    {
      name: NODE_PORTS,
      purpose: "health checks are let in",
      content: contents.healthChecks,
      from: ["INPUT"],
      onlyNew: false,
    },
    {
      name: FIREWALL,
      purpose: "NodePorts on 127.0.0.1 open loopback to nobody else",
      content: guard,
      from: ["INPUT", "OUTPUT"],
      onlyNew: false,
    },
  ];
  return chains.filter(({ content }) => content.rules.length > 0).map(filterSection);
}

function filterSection({ name, purpose, content, from, onlyNew }: FilterChain): Section {
  // First, because an ACCEPT that stands there already would end the walk.
  const hooks = from.map(
    (chain): InsertedRule => ({
      chain,
      position: 1,
      rule: { matches: onlyNew ? [NEW_CONNECTION] : [], target: jump(name) },
    }),
  );
  return {
    title: `${name} of the filter table: ${purpose}`,
    table: "filter",
    newChains: [name, ...content.chains.map((chain) => chain.name)],
    inserted: hooks,
    appended: [{ name, rules: content.rules }, ...content.chains],
  };
}
