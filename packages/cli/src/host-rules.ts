import { readSysctl } from "@svcproxy/host";
import {
  type ApplyOptions,
  type ApplyOutcome,
  chooseDialect,
  compileRules,
  type DesiredRules,
  type Dialect,
  deleteStaleUdpFlows,
  hostProblems,
  type KernelSession,
  knowsRandomFully,
  lostGuardProblem,
  openKernel,
  type RuleBackend,
  ruleLimitations,
  servesLocalhost,
} from "@svcproxy/iptables";
import type { RuleSet } from "@svcproxy/rules";
import {
  EnvironmentError,
  type Family,
  type HostPlan,
  type Problem,
  planHost,
  planProblems,
  problemOfError,
  problemSentence,
} from "@svcproxy/topology";
import type { Logger } from "pino";
import type { CommandContext } from "./command-context.ts";
import type { FamilyFlag, HostPlanFlags, VariantFlags } from "./iptables-flags.ts";
import { machineAddresses } from "./machine-addresses.ts";
import { readTopology, resolveHost } from "./read-topology.ts";

export {
  formatDifferences,
  isForeign,
  listDifferences,
  refuseForeignChains,
  refuseHeldChains,
} from "@svcproxy/iptables";

/** The plan for this host, from the topology that the command line names, and whose rules are to carry it out. */
export async function readHostPlan(
  context: CommandContext,
  files: readonly string[],
  flags: HostPlanFlags,
): Promise<{ readonly plan: HostPlan; readonly dialect: Dialect }> {
  const { topology } = await readTopology(context, files, { ...flags, required: true });
  const host = resolveHost(topology, flags.host);
  const plan = planHost(topology, { host, machineAddresses: machineAddresses() });
  return { plan, dialect: chooseDialect(topology, flags.dialect) };
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
  const { tools, reason, problem } = session.choice;
  log.info({ variant: tools.variant, reason }, `using iptables-${tools.variant}: ${reason}`);
  if (problem !== undefined) logProblem(log, problem);
  return session;
}

/** The plan as rules that this host's iptables and kernel can take. */
export async function compileForHost(
  plan: HostPlan,
  {
    session,
    dialect,
    dispatch,
    family,
    signal,
  }: Pick<HostPlanFlags, "dispatch" | "family"> & { dialect: Dialect; session: KernelSession; signal: AbortSignal },
): Promise<readonly DesiredRules[]> {
  const families = familiesOf(plan).filter((used) => familiesInPlay(family).includes(used));
  if (families.length === 0) return [];
  const randomFully = await knowsRandomFully(session.choice.tools, signal);
  const isLiberal = (await readSysctl("net.netfilter.nf_conntrack_tcp_be_liberal")) === "1";
  return families.map((family) =>
    compileRules(plan, { dialect, family, dispatch, randomFully, dropInvalid: !isLiberal }),
  );
}

/** What became of rules that were to be changed. */
export interface AppliedRules {
  readonly outcome: ApplyOutcome;
  readonly deletedUdpFlows: number;
  /** What is less than well; it is in the log already. */
  readonly problems: readonly Problem[];
}

/** Changes the rules, and does and says what is to be done and said once they are in. What goes wrong there leaves them in place. */
export async function applyRules(
  context: CommandContext,
  {
    backend,
    desired,
    options,
  }: { readonly backend: RuleBackend; readonly desired: readonly DesiredRules[]; readonly options: ApplyOptions },
): Promise<AppliedRules> {
  const log = await context.logger();
  const problems: Problem[] = [];
  const say = (problem: Problem) => {
    logProblem(log, problem);
    problems.push(problem);
  };
  let deletedUdpFlows = 0;
  let ours: readonly RuleSet[] = [];
  const settle = async (before: readonly RuleSet[]) => {
    ours = before;
    // Not interrupted: who waits for the command to end is told that all is done.
    const { signal } = new AbortController();
    try {
      deletedUdpFlows = await deleteStaleUdpFlows({ before, after: desired, signal });
    } catch (error) {
      if (!(error instanceof EnvironmentError)) throw error;
      const problem = problemOfError(error, { subject: "UDP flows" });
      const consequence = "UDP clients that keep on sending stay with endpoints that are gone";
      say({ ...problem, text: `${problem.text}: ${consequence}` });
    }
  };
  const outcome = await backend.apply(desired, { ...options, settle });
  if (deletedUdpFlows > 0) {
    log.info({ deleted: deletedUdpFlows }, `deleted ${deletedUdpFlows} UDP flows that went to endpoints that are gone`);
  }
  for (const { family, table, chain, heldBy } of outcome.heldChains) {
    say({
      ...{ code: "CHAINS_HELD", severity: "warning", subject: `chain ${chain} of IPv${family} ${table}` },
      text: `chain ${chain} (IPv${family} ${table}) is no longer needed, but stays, empty: foreign chain ${heldBy} jumps to it`,
    });
  }
  const hole = await lostGuardProblem({ before: ours, after: desired });
  if (hole !== undefined) say(hole);
  return { outcome, deletedUdpFlows, problems };
}

/** Logs what is not as it should be in the plan, what no rule can do of it, and what of this host keeps it from working. */
export async function warnOfHost(
  context: CommandContext,
  { plan, dialect }: { readonly plan: HostPlan; readonly dialect: Dialect },
): Promise<readonly Problem[]> {
  const needs = { families: familiesOf(plan), localhostNodePorts: servesLocalhost(plan, 4) };
  const log = await context.logger();
  const problems = [
    ...planProblems(plan),
    ...ruleLimitations(plan, { dialect }),
    ...(await hostProblems(needs, context.signal)),
  ];
  for (const problem of problems) logProblem(log, problem);
  return problems;
}

function logProblem(log: Logger, problem: Problem): void {
  log.warn({ code: problem.code, subject: problem.subject }, problemSentence(problem));
}

/** The families that a command looks at and changes. */
export function familiesInPlay(flag: FamilyFlag | undefined): readonly Family[] {
  return flag === undefined || flag === "all" ? [4, 6] : [flag === "4" ? 4 : 6];
}

/** Those in which the plan has something to do; in others nothing of ours is to be. */
function familiesOf({ ports }: HostPlan): readonly Family[] {
  return ([4, 6] as const).filter((family) => ports.some((port) => port.family === family));
}
