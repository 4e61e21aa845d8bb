import {
  type ApplyOutcome,
  compileRules,
  type DesiredRules,
  deleteStaleUdpFlows,
  hostWarnings,
  type KernelSession,
  knowsRandomFully,
  openKernel,
  readSysctl,
  servesLocalhost,
} from "@svcproxy/iptables";
import { EnvironmentError, type Family, type HostPlan, planHost } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";
import type { FamilyFlag, HostPlanFlags, VariantFlags } from "./iptables-flags.ts";
import { readTopology, resolveHost } from "./read-topology.ts";

export {
  formatDifferences,
  isForeign,
  listDifferences,
  refuseForeignChains,
  refuseHeldChains,
} from "@svcproxy/iptables";

/** The plan for this host, from the topology that the command line names. */
export async function readHostPlan(
  context: CommandContext,
  files: readonly string[],
  flags: HostPlanFlags,
): Promise<HostPlan> {
  const { topology } = await readTopology(context, files, { ...flags, required: true });
  const dialect = flags.dialect ?? (topology.source === "kubernetes" ? "kubernetes" : "document");
  return planHost(topology, { host: resolveHost(topology, flags.host), dialect });
}

/** Opens this host's rules; the log says which iptables was chosen and why. */
export async function openHostRules(
  context: CommandContext,
  { variant, isExclusive }: VariantFlags & { readonly isExclusive: boolean },
): Promise<KernelSession> {
  const log = await context.logger();
  const session = await openKernel({
    signal: context.signal,
    variant,
    isExclusive,
    onWait: (holder) =>
      log.info({ holder }, `waiting for another svcproxy${holder === undefined ? "" : ` (pid ${holder})`} to be done`),
  });
  const { tools, reason, warning } = session.choice;
  log.info({ variant: tools.variant, reason }, `using iptables-${tools.variant}: ${reason}`);
  if (warning !== undefined) log.warn(warning);
  return session;
}

/** The plan as rules that this host's iptables and kernel can take. */
export async function compileForHost(
  plan: HostPlan,
  {
    session,
    dispatch,
    family,
    signal,
  }: Pick<HostPlanFlags, "dispatch" | "family"> & { session: KernelSession; signal: AbortSignal },
): Promise<readonly DesiredRules[]> {
  const families = familiesOf(plan).filter((used) => familiesInPlay(family).includes(used));
  if (families.length === 0) return [];
  const randomFully = await knowsRandomFully(session.choice.tools, signal);
  const isLiberal = (await readSysctl("net.netfilter.nf_conntrack_tcp_be_liberal")) === "1";
  return families.map((family) => compileRules(plan, { family, dispatch, randomFully, dropInvalid: !isLiberal }));
}

/** What is to be done and said once the rules are in. What goes wrong here leaves the new rules in place. */
export async function finishApply(
  context: CommandContext,
  { outcome, desired }: { readonly outcome: ApplyOutcome; readonly desired: readonly DesiredRules[] },
): Promise<void> {
  const log = await context.logger();
  for (const { family, table, chain, heldBy } of outcome.heldChains) {
    log.warn(
      `chain ${chain} (IPv${family} ${table}) is no longer needed, but stays, empty: foreign chain ${heldBy} jumps to it`,
    );
  }
  // Not interrupted: no later run can tell where the flows of a service that is gone came from.
  const { signal } = new AbortController();
  try {
    const deleted = await deleteStaleUdpFlows({ before: outcome.before, after: desired, signal });
    if (deleted > 0) log.info({ deleted }, `deleted ${deleted} UDP flows that went to endpoints that are gone`);
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    const consequence = "UDP clients that keep on sending stay with endpoints that are gone";
    log.warn(
      { code: error.code },
      `${error.message}: ${consequence}${error.hint === undefined ? "" : `. ${error.hint}`}`,
    );
  }
}

export async function warnOfHost(context: CommandContext, plan: HostPlan): Promise<void> {
  const needs = { families: familiesOf(plan), localhostNodePorts: servesLocalhost(plan, 4) };
  const log = await context.logger();
  for (const warning of await hostWarnings(needs, context.signal)) log.warn(warning);
}

/** The families that a command looks at and changes. */
export function familiesInPlay(flag: FamilyFlag | undefined): readonly Family[] {
  return flag === undefined || flag === "all" ? [4, 6] : [flag === "4" ? 4 : 6];
}

/** Those in which the plan has something to do; in others nothing of ours is to be. */
function familiesOf({ ports }: HostPlan): readonly Family[] {
  return ([4, 6] as const).filter((family) => ports.some((port) => port.family === family));
}
