import type { Chain, InsertedRule, Rule } from "@svcproxy/rules";
import type { Family, HostPlan, ServicePortPlan } from "@svcproxy/topology";
import { familyOf } from "@svcproxy/topology";
import { marksClientsOutside } from "../dialect.ts";
import type { Dispatch } from "../dispatch/build-dispatch.ts";
import { createChooser } from "../dispatch/create-chooser.ts";
import { dispatchesByTree } from "../dispatch/dispatch-mode.ts";
import { MARK_MASQ, NODE_PORTS, POSTROUTING, SERVICES } from "../rule-parts/chain-names.ts";
import { hostCidr, markMatch, source } from "../rule-parts/matches.ts";
import { notAPod } from "../rule-parts/pod-match.ts";
import { jump, masquerade } from "../rule-parts/targets.ts";
import type { CompileOptions } from "../rule-style.ts";
import type { Script, Section } from "../script/script.ts";
import { lazily } from "../script/script.ts";
import { dnatRule, type EndpointChain, type EndpointChains, endpointChains, hairpinRule } from "./endpoint-chains.ts";
import { filterSections } from "./filter-sections.ts";
import { frontendDispatch, nodePortDispatch, nodePortTail } from "./frontend-dispatch.ts";
import { nameServices } from "./name-services.ts";
import { type ServiceChains, serviceChains } from "./service-chains.ts";

const NAT = "nat";
const WHOLE_MARK = 0xffffffff;

/**
 * The founding document's commands for one host, in the document's order, and for what the document does not have
 * the same scheme carried on. Nothing here asks `randomFully` or `dropInvalid`: the document has neither.
 */
export function compileDocument(plan: HostPlan, { family, dispatch = "auto" }: CompileOptions): Script {
  const ports = plan.ports.filter((port) => port.family === family);
  const names = nameServices(plan);
  const serviceName = ({ port }: ServicePortPlan) => names.get(port) ?? "";
  const endpoints = endpointChains(plan, { family, serviceName });
  const chooser = createChooser(dispatch);
  const services = ports.map((port) =>
    serviceChains(port, { plan, family, endpoints, chooser, name: serviceName(port) }),
  );
  const byTree = dispatchesByTree(plan, { family, mode: dispatch });
  const frontends = frontendDispatch(services, {
    family,
    byTree,
    notAPod: marksClientsOutside(plan, family) ? notAPod(plan, family) : undefined,
  });
  const mark = 2 ** plan.node.masqueradeBit;
  return {
    family,
    sections: [
      ...filterSections(plan, { family, byTree }),
      newChains({ services, groups: chooser.groups, endpoints, frontends }),
      {
        title: MARK_MASQ,
        table: NAT,
        newChains: [MARK_MASQ],
        appended: [
          { name: MARK_MASQ, rules: [{ matches: [], target: { kind: "mark", value: mark, mask: WHOLE_MARK } }] },
        ],
      },
      postroutingSection(mark),
      {
        title: `${SERVICES} into PREROUTING and OUTPUT`,
        table: NAT,
        appended: ["PREROUTING", "OUTPUT"].map((name) => ({ name, rules: [{ matches: [], target: jump(SERVICES) }] })),
      },
      {
        title: `Each service's address into ${SERVICES}`,
        table: NAT,
        appended: [{ name: SERVICES, rules: frontends.rules }, ...frontends.chains],
      },
      ...services.map(serviceSection),
      {
        title: "Groups of endpoints, so that a large service takes few steps",
        table: NAT,
        appended: lazily(() => chooser.groups.values()),
      },
      ...endpointSections(endpoints),
      {
        title: "SNAT for this host's own connections: its address is not routed back from a pod on another host",
        table: NAT,
        inserted: masqueradeHost(plan, family),
      },
      nodePortSection(services, { family, byTree }),
    ],
  };
}

function newChains({
  services,
  groups,
  endpoints,
  frontends,
}: {
  services: readonly ServiceChains[];
  groups: ReadonlyMap<string, Chain>;
  endpoints: EndpointChains;
  frontends: Dispatch;
}): Section {
  return {
    title: "New chains",
    table: NAT,
    newChains: lazily(function* () {
      yield SERVICES;
      for (const { name } of frontends.chains) yield name;
      for (const service of services) for (const { name } of chainsOf(service)) yield name;
      yield* groups.keys();
      for (const { name } of endpoints.ordered) yield name;
    }),
  };
}

function postroutingSection(mark: number): Section {
  const masqueradeMarked: Rule = {
    matches: [markMatch({ value: mark, mask: WHOLE_MARK })],
    target: masquerade({ randomFully: false }),
  };
  return {
    title: POSTROUTING,
    table: NAT,
    newChains: [POSTROUTING],
    appended: [
      { name: "POSTROUTING", rules: [{ matches: [], target: jump(POSTROUTING) }] },
      { name: POSTROUTING, rules: [masqueradeMarked] },
    ],
  };
}

function chainsOf({ cluster, local, external, firewall }: ServiceChains): Chain[] {
  return [cluster, local, external, firewall].filter((chain) => chain !== undefined);
}

function serviceSection(service: ServiceChains): Section {
  const chains = chainsOf(service);
  return {
    title: `${chains.map(({ name }) => name).join(", ")}: one of the endpoints at random`,
    table: NAT,
    appended: chains,
  };
}

/** First all the marks, then all the ways out: the document's order. */
function endpointSections({ ordered }: EndpointChains): Section[] {
  const rules = (ruleOf: (chain: EndpointChain) => Rule) =>
    lazily(function* (): Generator<Chain> {
      for (const chain of ordered) yield { name: chain.name, rules: [ruleOf(chain)] };
    });
  return [
    {
      title: "Endpoints: prepare SNAT for a client that reaches itself",
      table: NAT,
      appended: rules(hairpinRule),
    },
    { title: "Endpoints: DNAT", table: NAT, appended: rules(dnatRule) },
  ];
}

/** The document's last rule, for each address that the host's own connections may come from. */
function masqueradeHost({ host }: HostPlan, family: Family): readonly InsertedRule[] {
  return host.addresses
    .filter((address) => familyOf(address) === family)
    .map((address) => ({
      chain: "POSTROUTING",
      position: 1,
      rule: { matches: [source(hostCidr(address))], target: masquerade({ randomFully: false }) },
    }));
}

function nodePortSection(
  services: readonly ServiceChains[],
  { family, byTree }: { family: Family; byTree: boolean },
): Section {
  const nodePorts = nodePortDispatch(services, { family, byTree });
  const title = `NodePorts: asked last in ${SERVICES}, marked so that the answer comes back through this host`;
  if (nodePorts.rules.length === 0) return { title, table: NAT };
  return {
    title,
    table: NAT,
    newChains: [NODE_PORTS, ...nodePorts.chains.map(({ name }) => name)],
    appended: [
      { name: SERVICES, rules: nodePortTail(services) },
      { name: NODE_PORTS, rules: nodePorts.rules },
      ...nodePorts.chains,
    ],
  };
}
