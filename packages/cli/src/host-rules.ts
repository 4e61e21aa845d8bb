import { chooseDialect, chooseStyle, type Dialect, IptablesDataPath } from "@svcproxy/iptables";
import { type Family, type HostPlan, type Problem, planHost, problemSentence } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";
import type { FamilyFlag, HostPlanFlags, VariantFlags } from "./iptables-flags.ts";
import { machineAddresses } from "./machine-addresses.ts";
import { readTopology, resolveOwnHost } from "./read-topology.ts";

export { formatDifferences, isForeign, listDifferences, ruleLimitations } from "@svcproxy/iptables";
export { planProblems } from "@svcproxy/topology";

/** The plan for this host, from the topology that the command line names, and whose rules carry it out where nothing else is said. */
export async function readHostPlan(
  context: CommandContext,
  files: readonly string[],
  flags: HostPlanFlags,
): Promise<{ readonly plan: HostPlan; readonly defaultDialect: Dialect }> {
  const { topology } = await readTopology(context, files, { ...flags, required: true });
  const host = resolveOwnHost(topology, flags);
  const plan = planHost(topology, { host, machineAddresses: machineAddresses() });
  return { plan, defaultDialect: chooseDialect(topology) };
}

export interface DataPathFlags extends VariantFlags, Pick<HostPlanFlags, "dialect" | "dispatch" | "family"> {
  readonly defaultDialect?: Dialect;
  readonly adopt?: boolean;
}

/** The iptables data path as the command line sets it; the log says which iptables it chose and why, and whom it waits for. */
export async function openDataPath(context: CommandContext, flags: DataPathFlags): Promise<IptablesDataPath> {
  const log = await context.logger();
  const { dialect, defaultDialect = "document", dispatch, variant, family, adopt = false } = flags;
  const settings = { dialect, defaultDialect, dispatch, variant, adopt, families: familiesInPlay(family) };
  return new IptablesDataPath({
    settings,
    onWait: (holder) =>
      log.info({ holder }, `waiting for another svcproxy${holder === undefined ? "" : ` (pid ${holder})`} to be done`),
    onVariant({ tools, reason, problem, available: [chosen] }) {
      log.info({ variant: tools.variant, reason }, `using iptables-${tools.variant}: ${reason}`);
      const style = chooseStyle(settings, chosen?.style);
      if (style.dialect !== chooseStyle(settings).dialect)
        log.info(`the rules that are here are in the ${style.dialect} dialect, and stay so: --dialect changes it`);
      if (problem !== undefined) log.warn({ code: problem.code, subject: problem.subject }, problemSentence(problem));
    },
  });
}

/** Logs what is less than well; what was said of the choice of iptables is in the log already. */
export async function logProblems(context: CommandContext, problems: readonly Problem[]): Promise<void> {
  const log = await context.logger();
  for (const problem of problems) {
    if (problem.code === "RULES_IN_BOTH_VARIANTS") continue;
    const level = problem.severity === "error" ? "error" : "warn";
    log[level]({ code: problem.code, subject: problem.subject }, problemSentence(problem));
  }
}

export async function logDeletedFlows(context: CommandContext, count: number): Promise<void> {
  if (count === 0) return;
  const log = await context.logger();
  log.info({ deleted: count }, `deleted ${count} UDP flows that went to endpoints that are gone`);
}

/** The families that a command looks at and changes. */
function familiesInPlay(flag: FamilyFlag | undefined): readonly Family[] {
  return flag === undefined || flag === "all" ? [4, 6] : [flag === "4" ? 4 : 6];
}
