import { findUnmetTranslations, ownEndpoints, readLiveRules, thisMachine } from "@svcproxy/host";
import { chooseDialect, ruleLimitations } from "@svcproxy/iptables";
import { tableLimitations } from "@svcproxy/nftables";
import { readHostState } from "@svcproxy/rules";
import {
  EnvironmentError,
  type Fault,
  type Host,
  type HostPlan,
  type Problem,
  planHost,
  planProblems,
  problemOf,
  type Topology,
  topologyProblems,
} from "@svcproxy/topology";
import { exposedPrograms, isolationObstacles, userspaceLimitations } from "@svcproxy/userspace";
import { readLiveHostState } from "../host-rules/live-host-state.ts";
import { machineAddresses } from "../source/machine-addresses.ts";

/** What is not as it should be with a topology, as those say it who know. */
export interface CheckProblems {
  readonly ofInput: readonly Problem[];
  readonly ofPlan: readonly Problem[];
  /** What a data path cannot carry out; the subject names the data path. */
  readonly ofDataPaths: readonly Problem[];
}

/** What holds of the userspace proxy on this machine; nothing where the plan is another host's. */
export async function exposedHere(plan: HostPlan | undefined): Promise<readonly Problem[]> {
  const here = plan === undefined ? [] : machineAddresses();
  if (plan === undefined || !plan.host.addresses.some((address) => here.includes(address))) return [];
  return exposedPrograms(plan, { machine: thisMachine, notIsolated: await isolationObstacles(thisMachine) });
}

/**
 * Endpoints on this machine that only another program's DNAT serves. Rules are read where there is such an endpoint, and where this
 * process may: a check needs no root.
 */
export async function unmetHere(plan: HostPlan | undefined, signal: AbortSignal): Promise<readonly Problem[]> {
  const here = plan === undefined ? [] : machineAddresses();
  if (plan === undefined || !plan.host.addresses.some((address) => here.includes(address))) return [];
  if (ownEndpoints(plan, 4).length + ownEndpoints(plan, 6).length === 0) return [];
  try {
    const [rules, state] = await Promise.all([readLiveRules(thisMachine, { signal }), readLiveHostState(signal)]);
    return findUnmetTranslations({
      ...{ plan, hostState: readHostState(state, { file: "this host" }) },
      rules: (family) => rules.rules(family),
    });
  } catch (error) {
    if (error instanceof EnvironmentError) return [];
    throw error;
  }
}

/** @param plan of the host in question; without one, what is said holds for the first host or the second */
export function checkProblems(
  topology: Topology,
  {
    warnings,
    plan,
    exposed,
  }: {
    readonly warnings: readonly Fault[];
    readonly plan: HostPlan | undefined;
    readonly exposed: readonly Problem[];
  },
): CheckProblems {
  const planned = plan === undefined ? plansOfSomeHosts(topology) : [plan];
  return {
    ofInput: warnings.map(problemOf),
    ofPlan: plan === undefined ? topologyProblems(topology) : planProblems(plan),
    ofDataPaths: [
      ...eachOnce(planned.flatMap((one) => userspaceLimitations(one))),
      ...exposed,
      ...eachOnce(planned.flatMap((one) => ruleLimitations(one, { dialect: chooseDialect(topology) }))),
      ...eachOnce(planned.flatMap((one) => tableLimitations(one))),
    ],
  };
}

/** Of two: where all endpoints of a service are on the one, they are elsewhere for the other, as for all the rest. */
function plansOfSomeHosts(topology: Topology): readonly HostPlan[] {
  const hosts = topology.hosts.length === 0 ? [NAMELESS] : topology.hosts.slice(0, 2);
  return hosts.map((host) => planHost({ ...topology, hosts: [host] }, { host: host.name }));
}

function eachOnce(problems: readonly Problem[]): readonly Problem[] {
  return [
    ...new Map(problems.map((problem) => [`${problem.code} ${problem.subject} ${problem.text}`, problem])).values(),
  ];
}

/** Kubernetes objects may come without Nodes. */
const NAMELESS: Host = { name: "", addresses: [], podCIDRs: [], pods: [] };
