import type { Chain, RestoreCommand, Rule } from "@svcproxy/rules";
import type { Family, HostPlan, ServicePortPlan } from "@svcproxy/topology";
import { familyOf } from "@svcproxy/topology";
import type { CompileOptions } from "../compile-options.ts";
import type { Dispatch } from "../dispatch/build-dispatch.ts";
import { createChooser } from "../dispatch/create-chooser.ts";
import { dispatchesByTree } from "../dispatch/dispatch-mode.ts";
import { MARK_MASQ, NODE_PORTS, POSTROUTING, SERVICES } from "../rule-parts/chain-names.ts";
import { hostCidr, markMatch, source } from "../rule-parts/matches.ts";
import { jump, masquerade } from "../rule-parts/targets.ts";
import { addChains, appendRules } from "../script/commands.ts";
import type { Script, Section } from "../script/script.ts";
import { type EndpointChains, endpointChains } from "./endpoint-chains.ts";
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
  const frontends = frontendDispatch(services, { family, byTree });
  const mark = 2 ** plan.node.masqueradeBit;
  return {
    family,
    sections: [
      ...filterSections(plan, { family, byTree }),
      { title: "New chains", commands: newChains({ services, groups: chooser.groups, endpoints, frontends }) },
      {
        title: MARK_MASQ,
        commands: [
          ...addChains(NAT, [MARK_MASQ]),
          append(MARK_MASQ, { matches: [], target: { kind: "mark", value: mark, mask: WHOLE_MARK } }),
        ],
      },
      {
        title: POSTROUTING,
        commands: [
          ...addChains(NAT, [POSTROUTING]),
          append("POSTROUTING", { matches: [], target: jump(POSTROUTING) }),
          append(POSTROUTING, {
            matches: [markMatch({ value: mark, mask: WHOLE_MARK })],
            target: masquerade({ randomFully: false }),
          }),
        ],
      },
      {
        title: `${SERVICES} into PREROUTING and OUTPUT`,
        commands: ["PREROUTING", "OUTPUT"].map((chain) => append(chain, { matches: [], target: jump(SERVICES) })),
      },
      {
        title: `Each service's address into ${SERVICES}`,
        commands: [{ name: SERVICES, rules: frontends.rules }, ...frontends.chains].flatMap((chain) =>
          appendRules(NAT, chain),
        ),
      },
      ...services.map(serviceSection),
      ...groupSection(chooser.groups),
      {
        title: "Endpoints: prepare SNAT for a client that reaches itself",
        commands: endpoints.ordered.map(({ name, hairpin }) => append(name, hairpin)),
      },
      { title: "Endpoints: DNAT", commands: endpoints.ordered.map(({ name, dnat }) => append(name, dnat)) },
      {
        title: "SNAT for this host's own connections: its address is not routed back from a pod on another host",
        commands: masqueradeHost(plan, family),
      },
      nodePortSection(services, { family, byTree }),
    ].filter(({ commands }) => commands.length > 0),
  };
}

function append(chain: string, rule: Rule): RestoreCommand {
  return { kind: "append", table: NAT, chain, rule };
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
}): RestoreCommand[] {
  return addChains(NAT, [
    SERVICES,
    ...frontends.chains.map(({ name }) => name),
    ...services.flatMap((service) => chainsOf(service).map(({ name }) => name)),
    ...groups.keys(),
    ...endpoints.ordered.map(({ name }) => name),
  ]);
}

function chainsOf({ cluster, local, external, firewall }: ServiceChains): Chain[] {
  return [cluster, local, external, firewall].filter((chain) => chain !== undefined);
}

function serviceSection(service: ServiceChains): Section {
  const chains = chainsOf(service);
  return {
    title: `${chains.map(({ name }) => name).join(", ")}: one of the endpoints at random`,
    commands: chains.flatMap((chain) => appendRules(NAT, chain)),
  };
}

function groupSection(groups: ReadonlyMap<string, Chain>): Section[] {
  return [
    {
      title: "Groups of endpoints, so that a large service takes few steps",
      commands: [...groups.values()].flatMap((chain) => appendRules(NAT, chain)),
    },
  ];
}

/** The document's last rule, for each address that the host's own connections may come from. */
function masqueradeHost({ host }: HostPlan, family: Family): RestoreCommand[] {
  return host.addresses
    .filter((address) => familyOf(address) === family)
    .map((address) => ({
      kind: "insert",
      table: NAT,
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
  if (nodePorts.rules.length === 0) return { title, commands: [] };
  return {
    title,
    commands: [
      ...addChains(NAT, [NODE_PORTS, ...nodePorts.chains.map(({ name }) => name)]),
      ...nodePortTail(services).map((rule) => append(SERVICES, rule)),
      ...[{ name: NODE_PORTS, rules: nodePorts.rules }, ...nodePorts.chains].flatMap((chain) =>
        appendRules(NAT, chain),
      ),
    ],
  };
}
