import { type Census, type DataPath, joinCensuses, NO_COUNTS, problemsOfTaken } from "@svcproxy/host";
import { EnvironmentError, type Family, type HostPlan, type Problem } from "@svcproxy/topology";
import { listDifferences } from "../kernel/differences.ts";
import { findDifference } from "../kernel/find-difference.ts";
import { refuseForeignChains } from "../kernel/foreign-chains.ts";
import { areKubeProxys } from "../kernel/kube-proxy-rules.ts";
import type { RuleDifference } from "../kernel/rule-backend.ts";
import { unmarkedBeside, unmarkedProblem } from "../kernel/unmarked-rules.ts";
import { ruleLimitations } from "../rule-limitations.ts";
import { servesLocalhost } from "../rule-parts/localhost-guard.ts";
import { censusOfRules } from "./census-of-rules.ts";
import { cleanUpRules } from "./clean-up-rules.ts";
import { compileForMachine, leaveOutTaken, usedFamilies } from "./compile-for-machine.ts";
import { type IptablesMachine, type OpenMachine, styleInForce, variantProblems } from "./iptables-machine.ts";
import {
  changedTables,
  type IptablesCleanupReport,
  type IptablesPlanDifference,
  placeDifference,
  type RuleReport,
} from "./iptables-report.ts";
import { changeNotice, IptablesSession } from "./iptables-session.ts";
import { chooseStyle, type IptablesEvents, type IptablesSettings } from "./iptables-settings.ts";
import { kernelMachine } from "./kernel-machine.ts";
import { kubeProxysDifference } from "./kube-proxys-difference.ts";
import { PreservedRules } from "./preserved-rules.ts";

export interface CleanupOptions {
  readonly signal: AbortSignal;
  /** Whether another data path serves the same plan by now: then UDP flows go on, and what kept neighbours off loopback is its business. */
  readonly handsOver?: boolean;
  /** Rules that nothing marks as ours are removed too where they equal this plan by meaning. */
  readonly plan?: HostPlan | undefined;
  /** Tell what would be changed, and change nothing. */
  readonly isDryRun?: boolean;
}

export interface IptablesDataPathOptions extends IptablesEvents {
  readonly settings: IptablesSettings;
  /** Default: this network namespace's kernel. */
  readonly machine?: IptablesMachine;
}

const FAMILIES: readonly Family[] = [4, 6];

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
    const tables = machine.tables();
    const saved = await Promise.all(FAMILIES.filter(this.#isLookedAt).map((family) => tables.save(family, { signal })));
    const rules = findDifference(saved, desired, this.#settings);
    const beside = unmarkedBeside(saved, desired);
    // What an earlier plan left without a mark serves too, and no part of this one would meet it.
    const families =
      areKubeProxys(saved) && style.dialect === "kubernetes"
        ? kubeProxysDifference(saved, { plan: served, style, abilities })
        : beside.length === 0
          ? rules.families
          : findDifference(saved, desired, { adopt: true }).families;
    const needs = { families: usedFamilies(plan), localhostNodePorts: servesLocalhost(plan, 4) };
    return {
      differences: listDifferences(families).map(placeDifference),
      problems: [
        ...variantProblems(machine),
        ...(beside.length === 0 ? [] : [unmarkedProblem(beside, machine.choice.tools.variant)]),
        ...problemsOfTaken(taken),
        ...(await machine.problemsWith(needs, { signal })),
      ],
      choice: machine.choice,
      style,
      rules,
      families,
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
   * Rules without our mark stay, unless they equal a plan that is given.
   *
   * @throws EnvironmentError as `open`, CHAINS_HELD, and FOREIGN_CHAINS where rules without a mark differ from the plan
   */
  async cleanup({ signal, plan, isDryRun = false, handsOver = false }: CleanupOptions): Promise<IptablesCleanupReport> {
    await using machine = await this.#open(signal, { isExclusive: !isDryRun });
    const input = { machine, settings: this.#settings, signal, plan, isDryRun, handsOver };
    return cleanupReport(machine, await cleanUpRules(input));
  }

  /** Makes sure that there are tools and a kernel for it, by a look at the tables. @throws EnvironmentError as `open`, and SAVE_FAILED */
  async requireSupport({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    await using machine = await this.#open(signal, { isExclusive: false });
    await machine.tables().save(4, { signal });
  }

  /** Of every variant that holds rules of ours. @throws EnvironmentError as `open` */
  async census({ signal }: { readonly signal: AbortSignal }): Promise<Census> {
    await using machine = await this.#open(signal, { isExclusive: false });
    const ours = machine.choice.available.filter(({ hasOurMarker }) => hasOurMarker);
    const saved = await Promise.all(
      ours.flatMap(({ tools }) =>
        FAMILIES.filter(this.#isLookedAt).map((family) => machine.tables(tools).save(family, { signal })),
      ),
    );
    return joinCensuses(saved.map(censusOfRules));
  }

  /** Of every variant that holds rules of ours. @throws EnvironmentError as `open` */
  async preserve({ signal }: { readonly signal: AbortSignal }): Promise<PreservedRules | undefined> {
    await using machine = await this.#open(signal, { isExclusive: false });
    const ours = machine.choice.available.filter(({ hasOurMarker }) => hasOurMarker);
    if (ours.length === 0) return undefined;
    const found = await Promise.all(
      ours.flatMap(({ tools }) =>
        FAMILIES.filter(this.#isLookedAt).map(async (family) => ({
          tools,
          rules: await machine.tables(tools).save(family, { signal }),
        })),
      ),
    );
    return new PreservedRules({
      found,
      foreignChanges: changeNotice(ours.map(({ tools }) => tools.variant)),
      open: (end) => this.#open(end, { isExclusive: true }),
    });
  }

  /** @throws EnvironmentError NEEDS_ROOT, MISSING_TOOL, VARIANT_MISSING, LOCKED, INTERRUPTED */
  async open(signal: AbortSignal): Promise<IptablesSession> {
    const machine = await this.#open(signal, { isExclusive: true });
    return new IptablesSession({ machine, settings: this.#settings, signal });
  }

  readonly #isLookedAt = (family: Family): boolean => this.#settings.families?.includes(family) !== false;

  async #open(signal: AbortSignal, { isExclusive }: { readonly isExclusive: boolean }): Promise<OpenMachine> {
    if (signal.aborted) throw new EnvironmentError("INTERRUPTED", "Interrupted");
    const { variant } = this.#settings;
    const machine = await this.#machine.open({ signal, variant, isExclusive, onWait: this.#events.onWait });
    this.#events.onVariant?.(machine.choice);
    return machine;
  }
}

function plannedReport({ families, changes }: RuleDifference, tools: RuleReport["tools"]): RuleReport {
  return { tools, changes, deletedUdpFlows: NO_COUNTS, differences: () => listDifferences(families) };
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
