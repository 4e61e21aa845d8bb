import type { Match, Rule } from "@svcproxy/rules";
import type { HostPlan, Service, ServicePortPlan } from "@svcproxy/topology";
import type { Dispatch, DispatchEntry } from "../dispatch/build-dispatch.ts";
import { dispatchRules } from "../dispatch/build-dispatch.ts";
import type { BlockMatches } from "../dispatch/frontend-block.ts";
import {
  EXTERNAL_NODE_PORT_PREFIX,
  EXTERNAL_PREFIX,
  FIREWALL_PREFIX,
  NODE_PORT_PREFIX,
  VIP_PREFIX,
} from "./chain-names.ts";
import { hostCidr, TO_THIS_HOST } from "./matches.ts";
import { isGuarded, type RefusedFrontend, type RefusedFrontendsInput, refusedFrontends } from "./refused-frontends.ts";
import { ACCEPT, DROP, reject } from "./targets.ts";

/** Why a packet meets a rule of the filter table. */
export type FilterReason = "refused" | "dropped" | "outside-source-ranges" | "health-check";

export interface FilterInput extends RefusedFrontendsInput {
  readonly byTree: boolean;
  readonly blockMatches: BlockMatches;
  /** Whether each port of a service lets its health checks in, as kube-proxy has it, or the service does once. */
  readonly healthCheckEachPort: boolean;
  /** What a rule says about itself first. */
  readonly notes: (reason: FilterReason, owner: ServicePortPlan) => readonly Match[];
}

/** What the filter table does with packets that no nat rule sent to an endpoint. */
export interface FilterContents {
  /** To a ClusterIP that nobody serves. */
  readonly clusterIPs: Dispatch;
  /** To another address, or a NodePort, that nobody serves. */
  readonly external: Dispatch;
  /** To a load-balancer IP from a client that may not use it. */
  readonly outsideRanges: Dispatch;
  /** To a health-check NodePort. */
  readonly healthChecks: Dispatch;
}

interface FilterEntry extends DispatchEntry {
  readonly rule: Rule;
}

export function filterContents(plan: HostPlan, input: FilterInput): FilterContents {
  const refused = refusedFrontends(plan, input).map((frontend) => refusal(frontend, input));
  const [nodePorts, addresses] = [true, false].map((isNodePort) =>
    refused.filter(({ address, isClusterIP }) => !isClusterIP && (address === undefined) === isNodePort),
  );
  const external = [
    dispatch(addresses ?? [], { ...input, chainPrefix: EXTERNAL_PREFIX }),
    dispatch(nodePorts ?? [], { ...input, chainPrefix: EXTERNAL_NODE_PORT_PREFIX }),
  ];
  return {
    clusterIPs: dispatch(
      refused.filter(({ isClusterIP }) => isClusterIP),
      { ...input, chainPrefix: VIP_PREFIX },
    ),
    external: {
      rules: external.flatMap(({ rules }) => rules),
      chains: external.flatMap(({ chains }) => chains),
    },
    outsideRanges: dispatch(guardedEntries(plan, input), { ...input, chainPrefix: FIREWALL_PREFIX }),
    healthChecks: dispatch(healthCheckEntries(plan, input), { ...input, chainPrefix: NODE_PORT_PREFIX }),
  };
}

function dispatch(entries: readonly FilterEntry[], options: FilterInput & { readonly chainPrefix: string }): Dispatch {
  return dispatchRules(entries, { ...options, leafRules: (leaf) => leaf.map(({ rule }) => rule) });
}

function refusal(frontend: RefusedFrontend, input: FilterInput): FilterEntry & { readonly isClusterIP: boolean } {
  const { owner, kind, address, protocol, port, outcome } = frontend;
  const entry = { ...(address !== undefined && { address }), protocol, port };
  const matches = [
    ...input.notes(outcome === "refuse" ? "refused" : "dropped", owner),
    ...(address === undefined ? [TO_THIS_HOST] : []),
    ...entryMatches(entry, input),
  ];
  return {
    ...entry,
    isClusterIP: kind === "clusterIP",
    rule: { matches, target: outcome === "refuse" ? reject(input.family) : DROP },
  };
}

function entryMatches({ address, protocol, port }: DispatchEntry, { blockMatches }: FilterInput): readonly Match[] {
  const ports = { from: port, to: port };
  return blockMatches({ protocol, ports, ...(address !== undefined && { cidr: hostCidr(address) }) });
}

function guardedEntries({ ports }: HostPlan, input: FilterInput): readonly FilterEntry[] {
  return ports
    .filter(({ family }) => family === input.family)
    .flatMap((owner) =>
      owner.frontends.filter(isGuarded).flatMap(({ addresses, port }) =>
        addresses.map((address): FilterEntry => {
          const entry = { address, protocol: owner.port.protocol, port };
          const matches = [...input.notes("outside-source-ranges", owner), ...entryMatches(entry, input)];
          return { ...entry, rule: { matches, target: DROP } };
        }),
      ),
    );
}

function healthCheckEntries({ ports, healthChecks }: HostPlan, input: FilterInput): readonly FilterEntry[] {
  if (healthChecks.length === 0) return [];
  const owners = new Map<Service, ServicePortPlan[]>();
  for (const owner of ports) {
    if (owner.family !== input.family) continue;
    const others = owners.get(owner.service);
    if (others === undefined) owners.set(owner.service, [owner]);
    else if (input.healthCheckEachPort) others.push(owner);
  }
  return healthChecks.flatMap(({ service, port }) =>
    (owners.get(service) ?? []).map((owner): FilterEntry => {
      const entry = { protocol: "tcp" as const, port };
      const matches = [...input.notes("health-check", owner), ...entryMatches(entry, input)];
      return { ...entry, rule: { matches, target: ACCEPT } };
    }),
  );
}
