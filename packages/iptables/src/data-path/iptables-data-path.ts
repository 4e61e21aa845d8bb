import { type DataPath, problemsOfTaken } from "@svcproxy/host";
import { EnvironmentError, type HostPlan, type Problem } from "@svcproxy/topology";
import { listDifferences } from "../kernel/differences.ts";
import { findDifference } from "../kernel/find-difference.ts";
import { refuseForeignChains, refuseHeldChains } from "../kernel/foreign-chains.ts";
import type { RuleDifference } from "../kernel/rule-backend.ts";
import { TableBackend } from "../kernel/table-backend.ts";
import { ruleLimitations } from "../rule-limitations.ts";
import { servesLocalhost } from "../rule-parts/localhost-guard.ts";
import { applyRules } from "./apply-rules.ts";
import { newRun } from "./apply-run.ts";
import { compileForMachine, usedFamilies } from "./compile-for-machine.ts";
import { type IptablesMachine, type OpenMachine, styleInForce, variantProblems } from "./iptables-machine.ts";
import {
  changedTables,
  type IptablesCleanupReport,
  type IptablesPlanDifference,
  placeDifference,
  type RuleReport,
} from "./iptables-report.ts";
import { IptablesSession } from "./iptables-session.ts";
import { chooseStyle, type IptablesEvents, type IptablesSettings } from "./iptables-settings.ts";
import { kernelMachine } from "./kernel-machine.ts";
import { leaveOutTaken } from "./leave-out-taken.ts";

export interface CleanupOptions {
  readonly signal: AbortSignal;
  /** Whether another data path serves the same plan by now: then UDP flows go on, and what kept neighbours off loopback is its business. */
  readonly handsOver?: boolean;
  /** Tell what would be changed, and change nothing. */
  readonly isDryRun?: boolean;
}

export interface IptablesDataPathOptions extends IptablesEvents {
  readonly settings: IptablesSettings;
  /** Default: this network namespace's kernel. */
  readonly machine?: IptablesMachine;
}

/** Services as rules of iptables, of either variant. Its own results say more than the interface asks for. */
export class IptablesDataPath implements DataPath {
  readonly name = "iptables";
  readonly #settings: IptablesSettings;
  readonly #machine: IptablesMachine;
  readonly #events: IptablesEvents;

  constructor({ settings, machine = kernelMachine(), ...events }: IptablesDataPathOptions) {
    this.#settings = settings;
    this.#machine = machine;
    this.#events = events;
  }

  limitations(plan: HostPlan): readonly Problem[] {
    return ruleLimitations(plan, { dialect: chooseStyle(this.#settings).dialect });
  }

  /** @throws EnvironmentError as `open`, and TABLE_INCOMPATIBLE */
  async compare(plan: HostPlan, { signal }: { readonly signal: AbortSignal }): Promise<IptablesPlanDifference> {
    await using machine = await this.#open(signal, { isExclusive: false });
    const abilities = await machine.abilities({ signal });
    const style = chooseStyle(this.#settings, styleInForce(machine));
    const { plan: served, taken } = await leaveOutTaken(plan, { machine, style, settings: this.#settings });
    const desired = compileForMachine(served, { ...this.#settings, style, abilities });
    const rules = await new TableBackend(machine.tables()).compare(desired, { ...this.#settings, signal });
    const needs = { families: usedFamilies(plan), localhostNodePorts: servesLocalhost(plan, 4) };
    return {
      differences: listDifferences(rules.families).map(placeDifference),
      problems: [
        ...variantProblems(machine),
        ...problemsOfTaken(taken),
        ...(await machine.problemsWith(needs, { signal })),
      ],
      choice: machine.choice,
      style,
      rules,
    };
  }

  /**
   * What the first `apply` of a session would feed to the kernel.
   *
   * @throws EnvironmentError as `compare`, and FOREIGN_CHAINS
   */
  async preview(
    plan: HostPlan,
    options: { readonly signal: AbortSignal },
  ): Promise<{ readonly report: RuleReport; readonly problems: readonly Problem[] }> {
    const { rules, choice, problems } = await this.compare(plan, options);
    if (this.#settings.adopt !== true) refuseForeignChains(rules.families);
    return { report: plannedReport(rules, choice.tools), problems };
  }

  /**
   * Removes what is ours from every variant, or from the one of the settings. All of it is looked at before anything is changed.
   *
   * @throws EnvironmentError as `open`, and CHAINS_HELD
   */
  async cleanup({ signal, isDryRun = false, handsOver = false }: CleanupOptions): Promise<IptablesCleanupReport> {
    await using machine = await this.#open(signal, { isExclusive: !isDryRun });
    const { available, tools: chosen } = machine.choice;
    const marked = available.filter(
      ({ tools, hasOurMarker }) =>
        hasOurMarker && (this.#settings.variant === undefined || tools.variant === chosen.variant),
    );
    const found: { readonly report: RuleReport; readonly backend: TableBackend }[] = [];
    for (const { tools } of marked) {
      const backend = new TableBackend(machine.tables(tools));
      const difference = await backend.compare([], { signal });
      refuseHeldChains(difference.families);
      found.push({ backend, report: plannedReport(difference, tools) });
    }
    if (isDryRun) return cleanupReport(machine, { variants: found.map(({ report }) => report), problems: [] });
    const variants: RuleReport[] = [];
    const problems: Problem[] = [];
    for (const { backend, report } of found) {
      const run = newRun();
      await applyRules([], { run, machine, backend, options: { signal }, handsOver });
      problems.push(...run.problems);
      const { before = [], changes, deletedUdpFlows } = run;
      const differences = () => listDifferences(findDifference(before, [], {}).families);
      variants.push({ ...report, changes, deletedUdpFlows, differences });
    }
    return cleanupReport(machine, { variants, problems });
  }

  /** @throws EnvironmentError NEEDS_ROOT, MISSING_TOOL, VARIANT_MISSING, LOCKED, INTERRUPTED */
  async open(signal: AbortSignal): Promise<IptablesSession> {
    const machine = await this.#open(signal, { isExclusive: true });
    return new IptablesSession({ machine, settings: this.#settings, signal });
  }

  async #open(signal: AbortSignal, { isExclusive }: { readonly isExclusive: boolean }): Promise<OpenMachine> {
    if (signal.aborted) throw new EnvironmentError("INTERRUPTED", "Interrupted");
    const { variant } = this.#settings;
    const machine = await this.#machine.open({ signal, variant, isExclusive, onWait: this.#events.onWait });
    this.#events.onVariant?.(machine.choice);
    return machine;
  }
}

function plannedReport({ families, changes }: RuleDifference, tools: RuleReport["tools"]): RuleReport {
  return { tools, changes, deletedUdpFlows: 0, differences: () => listDifferences(families) };
}

function cleanupReport(
  { choice }: OpenMachine,
  { variants, problems }: Pick<IptablesCleanupReport, "variants" | "problems">,
): IptablesCleanupReport {
  const removed = variants.flatMap(({ tools, changes }) =>
    changedTables(changes).map((table) => `iptables-${tools.variant} ${table}`),
  );
  return { removed, problems, choice, variants };
}
