import { type Machine, readHostStateJson, readRuleTexts } from "@svcproxy/host";
import { type HostState, type RuleText, readHostState } from "@svcproxy/rules";
import { EnvironmentError, type IpAddress } from "@svcproxy/topology";

/** What the machine of an agent has, by which packets are followed. */
export interface AgentRules {
  readonly hostState: HostState;
  /** Of every program, with counters; none where they cannot be read. */
  readonly texts: readonly RuleText[];
  /** With which NodePorts are planned. */
  readonly machineAddresses: readonly IpAddress[];
}

/** @throws EnvironmentError where not even the addresses of this machine can be read */
export async function readAgentRules(
  machine: Machine,
  { signal }: { readonly signal: AbortSignal },
): Promise<AgentRules> {
  const hostState = readHostState(await readHostStateJson(machine, { signal }), { file: "this host" });
  return {
    hostState,
    texts: await readTexts(machine, signal),
    machineAddresses: machine.readAddresses().addresses.map(({ address }) => address),
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
