import { runsKubeProxy, thisMachine } from "@svcproxy/host";
import { chooseDialect, chooseStyle, type Dialect, IptablesDataPath } from "@svcproxy/iptables";
import { type Family, type HostPlan, problemSentence } from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";
import type { FamilyFlag, HostPlanFlags, VariantFlags } from "../flags/iptables-flags.ts";
import { EVERY_ADDRESS, readHostPlan as planForHost } from "../source/read-topology.ts";

/** The plan for this host, from the topology that the command line names, and whose rules carry it out where nothing else is said. */
export async function readHostPlan(
  context: CommandContext,
  files: readonly string[],
  flags: HostPlanFlags,
): Promise<{ readonly plan: HostPlan; readonly defaultDialect: Dialect }> {
  const { plan, topology } = await planForHost(context, files, flags);
  return { plan, defaultDialect: chooseDialect(topology) };
}

/** The same for a comparison with the rules that are here: where they are kube-proxy's, its externalIPs are part of the plan. */
export async function readJudgedPlan(
  context: CommandContext,
  files: readonly string[],
  flags: HostPlanFlags,
): ReturnType<typeof readHostPlan> {
  const isKubeProxys = await runsKubeProxy(thisMachine, { signal: context.signal });
  const allowExternalIps = [...(flags.allowExternalIps ?? []), ...(isKubeProxys ? EVERY_ADDRESS : [])];
  return readHostPlan(context, files, { ...flags, allowExternalIps });
}

export interface DataPathFlags
  extends VariantFlags,
    Pick<HostPlanFlags, "dialect" | "dispatch" | "family" | "takePort"> {
  readonly defaultDialect?: Dialect;
  readonly adopt?: boolean;
}

/** The iptables data path as the command line sets it; the log says which iptables it chose and why, and whom it waits for. */
export async function openDataPath(context: CommandContext, flags: DataPathFlags): Promise<IptablesDataPath> {
  const log = await context.logger();
  const { dialect, defaultDialect = "document", dispatch, variant, family, adopt = false, takePort = [] } = flags;
  const settings = {
    ...{ dialect, defaultDialect, dispatch, variant, adopt },
    families: familiesInPlay(family),
    takePorts: new Set(takePort),
  };
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

/** The families that a command looks at and changes. */
function familiesInPlay(flag: FamilyFlag | undefined): readonly Family[] {
  return flag === undefined || flag === "all" ? [4, 6] : [flag === "4" ? 4 : 6];
}
