import {
  type ConntrackEntry,
  deleteConntrack,
  type FamilyCounts,
  listConntrack,
  type Machine,
  thisMachine,
} from "@svcproxy/host";
import type { RuleSet } from "@svcproxy/rules";
import type { IpAddress } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { frontendsOf, isStale } from "./udp-flows.ts";

export interface FlushOptions {
  /** Our own rules as they were, with the note that a killed run may have left of those before. */
  readonly before: readonly RuleSet[];
  readonly after: readonly DesiredRules[];
  readonly signal: AbortSignal;
  /** Default: the one that we run on. */
  readonly machine?: Machine;
}

/**
 * Deletes the UDP flows that go where the rules no longer send them, in one batch.
 *
 * It compares every flow with the rules as they are, not only with what this run changed: what a killed run left behind is
 * found by the next one. Frontends that are gone it knows from `before`.
 *
 * @returns how many were deleted
 * @throws MissingTool where there is UDP to look after and no `conntrack`
 * @throws EnvironmentError CONNTRACK_FAILED
 */
export async function deleteStaleUdpFlows(options: FlushOptions): Promise<FamilyCounts> {
  const { before, after, signal, machine = thisMachine } = options;
  const stale: Record<4 | 6, ConntrackEntry[]> = { 4: [], 6: [] };
  for (const family of [4, 6] as const) {
    const frontends = {
      before: frontendsOf(before.find((rules) => rules.family === family)),
      after: frontendsOf(after.find((rules) => rules.family === family)),
    };
    if (frontends.before.endpoints.size === 0 && frontends.after.endpoints.size === 0) continue;
    const host = hostAddresses(machine);
    const isHostAddress = (address: IpAddress) => host.has(address);
    for (const flow of await listConntrack(machine, { protocol: "udp", family, signal })) {
      if (isStale(flow, { ...frontends, isHostAddress })) stale[family].push(flow);
    }
  }
  await deleteConntrack(machine, { entries: [...stale[4], ...stale[6]], signal });
  return { 4: stale[4].length, 6: stale[6].length };
}

/** @throws EnvironmentError OUT_OF_DESCRIPTORS, ADDRESSES_UNREADABLE */
function hostAddresses(machine: Machine): ReadonlySet<IpAddress> {
  const { addresses, fault } = machine.readAddresses();
  if (fault !== undefined) throw fault;
  return new Set(addresses.map(({ address }) => address));
}
