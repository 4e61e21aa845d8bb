import { type Machine, readHostStateJson, readRuleTexts } from "@svcproxy/host";
import { type HostState, type RuleText, readHostState } from "@svcproxy/rules";
import { EnvironmentError, type IpAddress, type Topology } from "@svcproxy/topology";

/** All that it takes to show what an agent keeps: what it was told, and what the machine has. */
export interface AgentView {
  readonly topology: Topology;
  /** Whose plan it is. */
  readonly host: string;
  /** The addresses with which NodePorts were planned. */
  readonly machineAddresses: readonly IpAddress[];
  readonly hostState: HostState;
  /** Of every program, with counters; none where they cannot be read. */
  readonly texts: readonly RuleText[];
}

/** @throws EnvironmentError where not even the addresses of this machine can be read */
export async function readAgentView(
  machine: Machine,
  { topology, host, signal }: { readonly topology: Topology; readonly host: string; readonly signal: AbortSignal },
): Promise<AgentView> {
  const hostState = readHostState(await readHostStateJson(machine, { signal }), { file: "this host" });
  return {
    ...{ topology, host, hostState },
    machineAddresses: machine.readAddresses().addresses.map(({ address }) => address),
    texts: await readTexts(machine, signal),
  };
}

/** Whoever runs the userspace proxy without root may not read rules, and has none. */
async function readTexts(machine: Machine, signal: AbortSignal): Promise<readonly RuleText[]> {
  try {
    return (await readRuleTexts(machine, { signal, withCounters: true })).texts;
  } catch (error) {
    if (error instanceof EnvironmentError && error.code === "NEEDS_ROOT") return [];
    throw error;
  }
}
