import type { Match, Rule } from "@svcproxy/rules";
import type { Family, Frontend, HostPlan, IpAddress, ServicePortPlan } from "@svcproxy/topology";
import { cidrOf } from "@svcproxy/topology";
import type { Dispatch, DispatchEntry } from "../dispatch/build-dispatch.ts";
import { dispatchRules } from "../dispatch/build-dispatch.ts";
import { NODE_PORT_PREFIX, NODE_PORTS, VIP_PREFIX } from "../rule-parts/chain-names.ts";
import { LOOPBACK, servesLocalhost } from "../rule-parts/localhost-guard.ts";
import { comment, destination, hostCidr, TO_THIS_HOST } from "../rule-parts/matches.ts";
import { isGuarded, servesSomebody } from "../rule-parts/refused-frontends.ts";
import { jump } from "../rule-parts/targets.ts";
import { kubernetesMatches } from "./kubernetes-matches.ts";
import type { ServicePortName } from "./name-service-ports.ts";
import { chainNames } from "./service-port-chains.ts";

interface FrontendEntry extends DispatchEntry {
  readonly rule: Rule;
}

export interface FrontendDispatchInput {
  readonly family: Family;
  readonly byTree: boolean;
  readonly nameOf: (port: ServicePortPlan) => ServicePortName;
}

/** Rules 1 to 3 of every service port: nat KUBE-SERVICES but for its tail. */
export function frontendDispatch(ports: readonly ServicePortPlan[], input: FrontendDispatchInput): Dispatch {
  const entries = ports.flatMap((port) => entriesOnce(port, input).vips);
  return dispatch(entries, { ...input, chainPrefix: VIP_PREFIX });
}

/** Rule 5 of every service port: nat KUBE-NODEPORTS. */
export function nodePortDispatch(ports: readonly ServicePortPlan[], input: FrontendDispatchInput): Dispatch {
  const entries = ports.flatMap((port) => entriesOnce(port, input).nodePorts);
  return dispatch(entries, { ...input, chainPrefix: NODE_PORT_PREFIX });
}

interface PortEntries {
  readonly name: ServicePortName;
  readonly vips: readonly FrontendEntry[];
  readonly nodePorts: readonly FrontendEntry[];
}

const known = new WeakMap<ServicePortPlan, PortEntries>();

/** The very same for a port that is the same in another plan, and is called the same. */
function entriesOnce(port: ServicePortPlan, input: FrontendDispatchInput): PortEntries {
  const name = input.nameOf(port);
  const before = known.get(port);
  if (before?.name === name) return before;
  const served = port.frontends.filter(servesSomebody);
  const entries = {
    name,
    vips: served
      .filter(({ kind }) => kind !== "nodePort")
      .flatMap((frontend) => frontend.addresses.map((address) => entryFor(port, { ...input, frontend, address })))
      // Without the room that an array leaves which grew.
      .slice(),
    nodePorts: served
      .filter(({ kind }) => kind === "nodePort")
      .map((frontend) => entryFor(port, { ...input, frontend })),
  };
  known.set(port, entries);
  return entries;
}

function dispatch(
  entries: readonly FrontendEntry[],
  options: FrontendDispatchInput & { readonly chainPrefix: string },
): Dispatch {
  return dispatchRules(entries, {
    ...options,
    blockMatches: kubernetesMatches,
    leafRules: (leaf) => leaf.map(({ rule }) => rule),
  });
}

const NOTES = {
  clusterIP: " cluster IP",
  externalIP: " external IP",
  loadBalancerIP: " loadbalancer IP",
  nodePort: "",
} as const;

function entryFor(
  port: ServicePortPlan,
  { frontend, address, nameOf }: FrontendDispatchInput & { readonly frontend: Frontend; readonly address?: IpAddress },
): FrontendEntry {
  const name = nameOf(port);
  const chains = chainNames(port, name);
  const outside = isGuarded(frontend) ? chains.firewall : chains.external;
  const protocol = port.port.protocol;
  const note: readonly Match[] = [comment(name.text + NOTES[frontend.kind])];
  const block = { protocol, ports: { from: frontend.port, to: frontend.port } };
  return {
    ...(address !== undefined && { address }),
    protocol,
    port: frontend.port,
    rule: {
      matches: note.concat(kubernetesMatches(address === undefined ? block : { ...block, cidr: hostCidr(address) })),
      target: jump(frontend.kind === "clusterIP" ? chains.internal : outside),
    },
  };
}

const TAIL_NOTE = comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain");
const LOOPBACK_6 = cidrOf("::1" as IpAddress, 128);

/** What ends nat KUBE-SERVICES: which packets are asked for a NodePort. It stands there also where no service has one. */
export function nodePortTail(plan: HostPlan, family: Family): readonly Rule[] {
  const target = jump(NODE_PORTS);
  const { addresses, everyHostAddress } = plan.nodePortAddresses[family];
  if (!everyHostAddress) {
    return addresses.map((address) => ({ matches: [TAIL_NOTE, destination(hostCidr(address))], target }));
  }
  const loopback = family === 6 ? LOOPBACK_6 : LOOPBACK;
  const butLoopback: Match[] = servesLocalhost(plan, family)
    ? []
    : [{ kind: "destination", negated: true, cidr: loopback, isBlock: true }];
  return [{ matches: [TAIL_NOTE, TO_THIS_HOST, ...butLoopback], target }];
}
