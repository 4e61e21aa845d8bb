import type { Chain } from "@svcproxy/rules";
import type { Family, HostPlan, ServicePortPlan } from "@svcproxy/topology";
import { familyOf } from "@svcproxy/topology";
import { createChooser } from "../dispatch/create-chooser.ts";
import { dispatchesByTree } from "../dispatch/dispatch-mode.ts";
import { EXTERNAL_SERVICES, FIREWALL, NODE_PORTS, PROXY_FIREWALL, SERVICES } from "../rule-parts/chain-names.ts";
import { type FilterReason, filterContents } from "../rule-parts/filter-contents.ts";
import { localhostGuard, servesLocalhost } from "../rule-parts/localhost-guard.ts";
import { comment } from "../rule-parts/matches.ts";
import { notAPod } from "../rule-parts/pod-match.ts";
import type { CompileOptions } from "../rule-style.ts";
import type { Script, Section } from "../script/script.ts";
import { lazily } from "../script/script.ts";
import { chainsOnce } from "./chains-once.ts";
import { forward, markMasq, postrouting } from "./constant-rules.ts";
import { frontendDispatch, nodePortDispatch, nodePortTail } from "./frontend-dispatch.ts";
import { hooksOf } from "./hooks.ts";
import { kubernetesMatches, kubernetesShares } from "./kubernetes-matches.ts";
import { nameServicePorts, type ServicePortName } from "./name-service-ports.ts";

/** Above so many endpoints of all services, kube-proxy leaves out the comments of which there are most. */
const LARGE_CLUSTER_ENDPOINTS = 1000;

interface Context {
  readonly plan: HostPlan;
  readonly family: Family;
  readonly byTree: boolean;
  readonly nameOf: (port: ServicePortPlan) => ServicePortName;
  readonly mark: number;
}

/** The rules that kube-proxy writes for a node: same chains, same names, same order and comments within a chain. */
export function compileKubernetes(plan: HostPlan, options: CompileOptions): Script {
  const { family, dispatch = "auto" } = options;
  const context: Context = {
    plan,
    family,
    byTree: dispatchesByTree(plan, { family, mode: dispatch }),
    nameOf: nameServicePorts(plan),
    mark: 2 ** plan.node.masqueradeBit,
  };
  return { family, sections: [...filterSections(context, options), ...natSections(context, options)] };
}

function filterSections({ plan, family, byTree, nameOf, mark }: Context, options: CompileOptions): Section[] {
  const guarded = servesLocalhost(plan, family);
  const { clusterIPs, external, outsideRanges, healthChecks } = filterContents(plan, {
    family,
    byTree,
    blockMatches: kubernetesMatches,
    notes: (reason, owner) => [comment(FILTER_NOTES[reason](nameOf(owner)))],
    nodePortsEverywhere: true,
    healthCheckEachPort: true,
  });
  const guard: Chain[] = guarded
    ? [{ name: FIREWALL, rules: [localhostGuard([comment("block incoming localnet connections")])] }]
    : [];
  const forwarding = forward({ mark, dropInvalid: options.dropInvalid ?? true });
  const own: Chain[] = [
    { name: SERVICES, rules: clusterIPs.rules },
    { name: EXTERNAL_SERVICES, rules: external.rules },
    { name: PROXY_FIREWALL, rules: outsideRanges.rules },
    { name: NODE_PORTS, rules: healthChecks.rules },
  ];
  const below = [clusterIPs, external, outsideRanges, healthChecks].flatMap(({ chains }) => chains);
  return [
    {
      title: "filter table: chains",
      table: "filter",
      newChains: [
        ...[SERVICES, EXTERNAL_SERVICES, forwarding.name, NODE_PORTS, PROXY_FIREWALL],
        ...[...guard, ...below].map(({ name }) => name),
      ],
    },
    {
      title: "filter table: frontends that nobody serves, source ranges, health checks, forwarding",
      table: "filter",
      appended: [...guard, ...own, ...below, forwarding],
    },
    {
      title: "filter table: jumps from the built-in chains",
      table: "filter",
      inserted: hooksOf("filter", { guarded }),
    },
  ];
}

const FILTER_NOTES: Readonly<Record<FilterReason, (name: ServicePortName) => string>> = {
  refused: ({ text }) => `${text} has no endpoints`,
  dropped: ({ text }) => `${text} has no local endpoints`,
  "outside-source-ranges": ({ text, hash }) => `${text} traffic not accepted by KUBE-FW-${hash}`,
  "health-check": ({ text }) => `${text} health check node port`,
};

function natSections(context: Context, { dispatch = "auto", randomFully = true }: CompileOptions): Section[] {
  const { plan, family, nameOf, mark } = context;
  const ports = plan.ports.filter((port) => port.family === family);
  const marking = notAPod(plan, family);
  const chooser = createChooser(dispatch, kubernetesShares);
  const isLarge = isLargeCluster(ports);
  const services = ports.map((port) => {
    const name = nameOf(port);
    const input = { plan, family, isLarge, chooser, name, notAPod: marking };
    return { port, name, ...chainsOnce(port, { ...input, dispatch }) };
  });
  const frontends = frontendDispatch(ports, context);
  const nodePorts = nodePortDispatch(ports, context);
  const constant = [postrouting({ mark, randomFully }), markMasq(mark)];
  const below = [...frontends.chains, ...nodePorts.chains];
  return [
    {
      title: "nat table: chains",
      table: "nat",
      newChains: lazily(function* () {
        yield* [SERVICES, NODE_PORTS];
        for (const { name } of [...constant, ...below]) yield name;
        for (const { names, endpoints } of services) {
          yield* names;
          for (const { name } of endpoints) yield name;
        }
        yield* chooser.groups.keys();
      }),
    },
    { title: "Masquerade what is marked", table: "nat", appended: constant },
    {
      title: "Frontends",
      table: "nat",
      appended: [{ name: SERVICES, rules: frontends.rules }, { name: NODE_PORTS, rules: nodePorts.rules }, ...below],
    },
    ...services.map(({ name, rules, endpoints }) => ({
      title: name.text,
      table: "nat",
      appended: lazily(function* () {
        yield* rules;
        yield* endpoints;
      }),
    })),
    {
      title: "Groups of endpoints, so that a large service takes few steps",
      table: "nat",
      appended: lazily(() => chooser.groups.values()),
    },
    {
      title: "NodePorts are asked last",
      table: "nat",
      appended: [{ name: SERVICES, rules: nodePortTail(plan, family) }],
    },
    {
      title: "nat table: jumps from the built-in chains",
      table: "nat",
      inserted: hooksOf("nat", { guarded: false }),
    },
  ];
}

function isLargeCluster(ports: readonly ServicePortPlan[]): boolean {
  let count = 0;
  for (const { port, family } of ports) {
    for (const { address } of port.endpoints) if (familyOf(address) === family) count++;
  }
  return count > LARGE_CLUSTER_ENDPOINTS;
}
