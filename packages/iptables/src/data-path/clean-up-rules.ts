import { type IptablesTools, NO_COUNTS } from "@svcproxy/host";
import type { HostPlan, Problem } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { listDifferences } from "../kernel/differences.ts";
import { findDifference } from "../kernel/find-difference.ts";
import { refuseForeignChains, refuseHeldChains } from "../kernel/foreign-chains.ts";
import { areKubeProxys } from "../kernel/kube-proxy-rules.ts";
import { MemoryTables } from "../kernel/memory-tables.ts";
import type { RuleTables, SavedRules } from "../kernel/rule-tables.ts";
import { TableBackend } from "../kernel/table-backend.ts";
import type { TableChange } from "../kernel/table-change.ts";
import { unmarkedProblem, unmarkedRules } from "../kernel/unmarked-rules.ts";
import { applyRules } from "./apply-rules.ts";
import { newRun } from "./apply-run.ts";
import { compileForMachine } from "./compile-for-machine.ts";
import type { OpenMachine } from "./iptables-machine.ts";
import type { RuleReport } from "./iptables-report.ts";
import { chooseStyle, type IptablesSettings } from "./iptables-settings.ts";

export interface CleanUpInput {
  readonly machine: OpenMachine;
  readonly settings: IptablesSettings;
  readonly signal: AbortSignal;
  /** Rules that nothing marks as ours are removed too where they equal this plan by meaning. */
  readonly plan?: HostPlan | undefined;
  readonly isDryRun: boolean;
  readonly handsOver: boolean;
}

export interface CleanedUp {
  readonly variants: readonly RuleReport[];
  readonly problems: readonly Problem[];
}

/** What is to be removed from one variant. */
interface Removal {
  readonly tools: IptablesTools;
  readonly tables: RuleTables;
  readonly saved: readonly SavedRules[];
  /** Rules that are taken over first, because they equal a plan. */
  readonly takenOver: readonly DesiredRules[];
}

/** A clean-up takes nothing over, so it has no --adopt. */
const HOW_TO_CLEAN_UP_FOREIGN =
  "Name the topology and the host that they were printed for. A kube-proxy's go when it is stopped and `kube-proxy --cleanup` is run; " +
  "all others by `svcproxy iptables apply TOPOLOGY --host NAME --adopt`, which takes them over, and `svcproxy cleanup` then";

/**
 * Removes what is ours from every variant, or from the one of the settings. All of it is looked at before anything is changed.
 *
 * @throws EnvironmentError CHAINS_HELD, and FOREIGN_CHAINS where rules without a mark differ from the plan
 */
export async function cleanUpRules(input: CleanUpInput): Promise<CleanedUp> {
  const { machine, settings, isDryRun } = input;
  const { available, tools: chosen } = machine.choice;
  const removals: Removal[] = [];
  const problems: Problem[] = [];
  for (const { tools, hasOurMarker } of available) {
    if (settings.variant !== undefined && tools.variant !== chosen.variant) continue;
    const { removal, unmarked } = await lookForOurs(tools, { ...input, hasOurMarker });
    if (removal !== undefined) removals.push(removal);
    if (unmarked !== undefined) problems.push(unmarked);
  }
  const variants: RuleReport[] = [];
  for (const removal of removals) {
    if (isDryRun) variants.push(await previewRemoval(removal));
    else variants.push(await remove(removal, { ...input, problems }));
  }
  return { variants, problems };
}

async function lookForOurs(
  tools: IptablesTools,
  { machine, settings, signal, plan, hasOurMarker }: CleanUpInput & { readonly hasOurMarker: boolean },
): Promise<{ readonly removal?: Removal; readonly unmarked?: Problem }> {
  const tables = machine.tables(tools);
  const saved = await Promise.all(([4, 6] as const).map((family) => tables.save(family, { signal })));
  const unmarked = unmarkedRules(saved);
  let takenOver: readonly DesiredRules[] = [];
  if (unmarked.length > 0 && plan !== undefined) {
    const abilities = await machine.abilities({ signal });
    takenOver = compileForMachine(plan, { ...settings, style: chooseStyle(settings), abilities });
    refuseForeignChains(findDifference(saved, takenOver, {}).families, HOW_TO_CLEAN_UP_FOREIGN);
  }
  // A kube-proxy's are nobody's to remove.
  const isLeftHere = unmarked.length > 0 && takenOver.length === 0 && !areKubeProxys(saved);
  if (hasOurMarker) refuseHeldChains(findDifference(saved, [], {}).families);
  return {
    ...(hasOurMarker || takenOver.length > 0 ? { removal: { tools, tables, saved, takenOver } } : {}),
    ...(isLeftHere ? { unmarked: unmarkedProblem(unmarked, tools.variant) } : {}),
  };
}

/** The same, in memory. */
async function previewRemoval({ tools, saved, takenOver }: Removal): Promise<RuleReport> {
  const { signal } = new AbortController();
  const backend = new TableBackend(new MemoryTables(saved));
  const changes: TableChange[] = [];
  if (takenOver.length > 0) changes.push(...(await backend.apply(takenOver, { signal })).changes);
  changes.push(...(await backend.apply([], { signal })).changes);
  return { tools, changes, deletedUdpFlows: NO_COUNTS, differences: () => differencesOf(saved) };
}

async function remove(
  { tools, tables, saved, takenOver }: Removal,
  { machine, signal, handsOver, problems }: CleanUpInput & { readonly problems: Problem[] },
): Promise<RuleReport> {
  const backend = new TableBackend(tables);
  const run = newRun();
  if (takenOver.length > 0) await applyRules(takenOver, { run, machine, backend, options: { signal }, handsOver });
  await applyRules([], { run, machine, backend, options: { signal }, handsOver });
  problems.push(...run.problems);
  const { changes, deletedUdpFlows } = run;
  return { tools, changes, deletedUdpFlows, differences: () => differencesOf(saved) };
}

/** What told the rules from none of ours. */
function differencesOf(saved: readonly SavedRules[]): ReturnType<RuleReport["differences"]> {
  const isUnmarked = unmarkedRules(saved).length > 0;
  return listDifferences(findDifference(saved, [], { adopt: isUnmarked }).families);
}
