import type { RestoreCommand, Rule } from "@svcproxy/rules";
import type { Family, HostPlan } from "@svcproxy/topology";
import type { Dispatch, DispatchEntry } from "../dispatch/build-dispatch.ts";
import { dispatchRules } from "../dispatch/dispatch-rules.ts";
import {
  EXTERNAL_NODE_PORT_PREFIX,
  EXTERNAL_PREFIX,
  EXTERNAL_SERVICES,
  FIREWALL,
  FIREWALL_PREFIX,
  NODE_PORT_PREFIX,
  NODE_PORTS,
  PROXY_FIREWALL,
  SERVICES,
  VIP_PREFIX,
} from "../rule-parts/chain-names.ts";
import { localhostGuard, servesLocalhost } from "../rule-parts/localhost-guard.ts";
import { hostCidr, NEW_CONNECTION, TO_THIS_HOST } from "../rule-parts/matches.ts";
import { type RefusedFrontend, refusedFrontends } from "../rule-parts/refused-frontends.ts";
import { ACCEPT, DROP, jump, reject } from "../rule-parts/targets.ts";
import { addChains, appendRules } from "../script/commands.ts";
import type { Section } from "../script/script.ts";
import { documentMatches } from "./block-matches.ts";
import { isGuarded } from "./service-chains.ts";

export interface FilterInput {
  readonly family: Family;
  readonly byTree: boolean;
}

interface FilterChain {
  readonly name: string;
  readonly purpose: string;
  readonly content: Dispatch;
  /** Built-in chains that jump to it. */
  readonly from: readonly string[];
  /** Asked for the first packet of a connection only. */
  readonly onlyNew: boolean;
}

interface FilterEntry extends DispatchEntry {
  readonly rule: Rule;
}

/** The filter table: empty in the document, and here as long as every client gets an endpoint. */
export function filterSections(plan: HostPlan, input: FilterInput): readonly Section[] {
  return filterChains(plan, input)
    .filter(({ content }) => content.rules.length > 0)
    .map(({ name, purpose, content, from, onlyNew }) => ({
      title: `filter table, ${name}: ${purpose}`,
      commands: [
        ...addChains("filter", [name, ...content.chains.map((chain) => chain.name)]),
        // First, because an ACCEPT that stands there already would end the walk.
        ...from.map(
          (chain): RestoreCommand => ({
            kind: "insert",
            table: "filter",
            chain,
            position: 1,
            rule: { matches: onlyNew ? [NEW_CONNECTION] : [], target: jump(name) },
          }),
        ),
        ...[{ name, rules: content.rules }, ...content.chains].flatMap((chain) => appendRules("filter", chain)),
      ],
    }));
}

function filterChains(plan: HostPlan, input: FilterInput): readonly FilterChain[] {
  const refused = refusedFrontends(plan, input.family);
  const clusterIPs = refused.filter(({ kind }) => kind === "clusterIP");
  const external = refused.filter(({ kind, address }) => kind !== "clusterIP" && address !== undefined);
  const nodePorts = refused.filter(({ address }) => address === undefined);
  const externalVips = dispatch(external.map(refusal), { ...input, chainPrefix: EXTERNAL_PREFIX });
  const externalPorts = dispatch(nodePorts.map(refusal), { ...input, chainPrefix: EXTERNAL_NODE_PORT_PREFIX });
  return [
    {
      name: SERVICES,
      purpose: "a client of a ClusterIP that nobody serves is refused",
      content: dispatch(clusterIPs.map(refusal), { ...input, chainPrefix: VIP_PREFIX }),
      from: ["FORWARD", "OUTPUT"],
      onlyNew: true,
    },
    {
      name: EXTERNAL_SERVICES,
      purpose: "the same from outside",
      content: {
        rules: [...externalVips.rules, ...externalPorts.rules],
        chains: [...externalVips.chains, ...externalPorts.chains],
      },
      from: ["INPUT", "FORWARD", "OUTPUT"],
      onlyNew: true,
    },
    {
      name: PROXY_FIREWALL,
      purpose: "who is not in the source ranges gets no answer",
      content: dispatch(guardedEntries(plan, input.family), { ...input, chainPrefix: FIREWALL_PREFIX }),
      from: ["INPUT", "FORWARD", "OUTPUT"],
      onlyNew: true,
    },
    {
      name: NODE_PORTS,
      purpose: "health checks are let in",
      content: dispatch(healthCheckEntries(plan), { ...input, chainPrefix: NODE_PORT_PREFIX }),
      from: ["INPUT"],
      onlyNew: false,
    },
    {
      name: FIREWALL,
      purpose: "NodePorts on 127.0.0.1 open loopback to nobody else",
      content: { rules: servesLocalhost(plan, input.family) ? [localhostGuard()] : [], chains: [] },
      from: ["INPUT", "OUTPUT"],
      onlyNew: false,
    },
  ];

  function refusal(frontend: RefusedFrontend): FilterEntry {
    const matches = entryMatches(frontend);
    return {
      ...frontend,
      rule: {
        matches: frontend.address === undefined ? [TO_THIS_HOST, ...matches] : matches,
        target: frontend.outcome === "refuse" ? reject(input.family) : DROP,
      },
    };
  }
}

function dispatch(entries: readonly FilterEntry[], options: FilterInput & { readonly chainPrefix: string }): Dispatch {
  return dispatchRules(entries, {
    ...options,
    leafRules: (leaf) => leaf.map(({ rule }) => rule),
    blockMatches: documentMatches,
  });
}

function entryMatches({ address, protocol, port }: DispatchEntry): Rule["matches"] {
  const ports = { from: port, to: port };
  return documentMatches({ protocol, ports, ...(address !== undefined && { cidr: hostCidr(address) }) });
}

function guardedEntries({ ports }: HostPlan, family: Family): readonly FilterEntry[] {
  return ports
    .filter((owner) => owner.family === family)
    .flatMap(({ port: { protocol }, frontends }) =>
      frontends.filter(isGuarded).flatMap(({ addresses, port }) =>
        addresses.map((address): FilterEntry => {
          const entry = { address, protocol, port };
          return { ...entry, rule: { matches: entryMatches(entry), target: DROP } };
        }),
      ),
    );
}

function healthCheckEntries({ healthChecks }: HostPlan): readonly FilterEntry[] {
  return healthChecks.map(({ port }): FilterEntry => {
    const entry = { protocol: "tcp" as const, port };
    return { ...entry, rule: { matches: entryMatches(entry), target: ACCEPT } };
  });
}
