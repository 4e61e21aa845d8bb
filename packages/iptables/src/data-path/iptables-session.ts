import { isDeepStrictEqual } from "node:util";
import {
  type ApplyOptions,
  type ChangeNotice,
  type DataPathSession,
  isolateRefusal,
  problemsOfTaken,
  RecentListeners,
  type ServicePortStatus,
  sameContext,
  serviceName,
  servicePortKey,
  servicePortStatuses,
  servicesThatMoved,
  type TakenNodePorts,
  type Variant,
} from "@svcproxy/host";
import {
  changedServices,
  EnvironmentError,
  type Family,
  type HostPlan,
  type Problem,
  SvcproxyError,
} from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { listDifferences } from "../kernel/differences.ts";
import { findDifference } from "../kernel/find-difference.ts";
import { isMark } from "../kernel/own-chains.ts";
import { type PrintedRules, type RuleTables, refusalIn, type SavedRules } from "../kernel/rule-tables.ts";
import { TableBackend } from "../kernel/table-backend.ts";
import { unmarkedBeside, unmarkedProblem } from "../kernel/unmarked-rules.ts";
import { servesLocalhost } from "../rule-parts/localhost-guard.ts";
import type { RuleStyle } from "../rule-style.ts";
import { applyChanged } from "./apply-changed.ts";
import { applyRules } from "./apply-rules.ts";
import { type ApplyRun, newRun, type Written } from "./apply-run.ts";
import { compileForMachine, leaveOutTaken, usedFamilies } from "./compile-for-machine.ts";
import { countRules } from "./count-rules.ts";
import { type OpenMachine, type RuleAbilities, styleInForce, variantProblems } from "./iptables-machine.ts";
import { type IptablesApplyReport, placeDifference } from "./iptables-report.ts";
import { chooseStyle, type IptablesSettings } from "./iptables-settings.ts";
import { marksOf, mendHooks } from "./mend-hooks.ts";
import { rulesInTheWay } from "./rules-in-the-way.ts";
import { suspectServices } from "./suspect-services.ts";

export interface SessionInput {
  readonly machine: OpenMachine;
  readonly settings: IptablesSettings;
  readonly signal: AbortSignal;
}

/**
 * A change that may be about ours: one that names a chain of ours, the removal of a table, or of a rule in a built-in chain,
 * which `nft monitor` tells by number.
 */
const ABOUT_OURS =
  /^\w+ \w+ ip6? (?:nat|filter|mangle) .*\b(?:KUBE|SVCPROXY)-|^delete (?:table ip6? (?:nat|filter|mangle)\b|(?:rule|chain) ip6? (?:nat|filter|mangle) (?:PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)\b)/;

/** How changes of our rules in these variants are noticed: of legacy's tables the kernel tells nothing. */
export function changeNotice(variants: readonly Variant[]): ChangeNotice {
  return variants.every((variant) => variant === "nft")
    ? { kind: "monitor", tool: "nft", concerns: (line) => ABOUT_OURS.test(line) }
    : { kind: "polling" };
}

/** Keeps in mind what it wrote, so that a small change is fed to the kernel without a look at all of its rules. */
export class IptablesSession implements DataPathSession {
  /** How it writes rules. */
  readonly style: RuleStyle;
  readonly foreignChanges: ChangeNotice;
  readonly #machine: OpenMachine;
  readonly #settings: IptablesSettings;
  readonly #signal: AbortSignal;
  readonly #tables: RuleTables;
  readonly #backend: TableBackend;
  /** What the kernel has, unless another program changed it; undefined: it takes a look. */
  #written: Written | undefined;
  /** All rules as the last look left them, by family; undefined: since then something was written. */
  #seen: ReadonlyMap<Family, string> | undefined;
  /** The last plan that was carried out, less what was refused. */
  #good: HostPlan | undefined;
  #failures: ReadonlyMap<string, Problem> = new Map();
  /** The ports that lack their NodePort, because a program listens on it. */
  #taken: TakenNodePorts = new Map();
  readonly #listeners = new RecentListeners();
  /** What is not well with the machine, as of the last look. */
  #machineProblems: readonly Problem[] = [];
  #status: readonly ServicePortStatus[] = [];

  constructor({ machine, settings, signal }: SessionInput) {
    this.#machine = machine;
    this.#settings = settings;
    this.#signal = signal;
    this.foreignChanges = changeNotice([machine.choice.tools.variant]);
    this.style = chooseStyle(settings, styleInForce(machine));
    this.#tables = machine.tables();
    this.#backend = new TableBackend(this.#tables);
  }

  async apply(plan: HostPlan, { changed }: ApplyOptions = {}): Promise<IptablesApplyReport> {
    if (this.#signal.aborted) throw new EnvironmentError("INTERRUPTED", "Interrupted");
    const run = newRun();
    const { plan: served, taken } = await leaveOutTaken(plan, {
      machine: this.#machine,
      style: this.style,
      settings: this.#settings,
      recent: changed === undefined ? undefined : this.#listeners,
    });
    const moved = servicesThatMoved(this.#taken, taken);
    const [written, seen] = [this.#written, this.#seen];
    // Until it is known how this ends.
    this.#written = undefined;
    this.#seen = undefined;
    const isSame =
      changed === undefined && moved.size === 0 && written !== undefined && isSamePlan(served, written.plan);
    if (isSame && this.foreignChanges.kind === "monitor")
      await mendHooks({ written, tables: this.#tables, run, signal: this.#signal });
    const printed = isSame && seen !== undefined ? await this.#print(seen) : undefined;
    if (isSame && printed?.every(({ family, fingerprint }) => seen?.get(family) === fingerprint)) {
      this.#written = written;
      this.#seen = seen;
      run.desired = written.rules;
      return this.#report(run);
    }
    const asked =
      (changed === undefined || written === undefined
        ? undefined
        : await this.#applyChanged(served, { changed: new Set([...changed, ...moved]), written, run })) ??
      (await this.#applyAll(served, { run, printed, compiled: isSame ? written : undefined }));
    this.#taken = taken;
    this.#status = servicePortStatuses({
      ...{ ports: asked.ports, before: this.#status, now: new Date() },
      shortfall: (port) => {
        if (this.#failures.size === 0 && taken.size === 0) return undefined;
        const failure = this.#failures.get(serviceName(port));
        if (failure !== undefined) return { state: "failed", problem: failure };
        const problem = taken.get(servicePortKey(port));
        return problem === undefined ? undefined : { state: "refused", problem };
      },
    });
    return this.#report(run);
  }

  status(): readonly ServicePortStatus[] {
    return this.#status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#machine[Symbol.asyncDispose]();
  }

  async #applyChanged(
    plan: HostPlan,
    {
      changed,
      written,
      run,
    }: { readonly changed: ReadonlySet<string>; readonly written: Written; readonly run: ApplyRun },
  ): Promise<HostPlan | undefined> {
    if (!sameContext(plan, written.plan)) return undefined;
    const applied = await applyChanged({
      ...{ plan, changed, written, run },
      failures: this.#failures,
      machine: this.#machine,
      tables: this.#tables,
      compile: (part) => this.#compile(part, written.abilities),
    });
    if (applied === undefined) return undefined;
    this.#keep(applied);
    return applied.asked;
  }

  async #applyAll(plan: HostPlan, { run, printed, compiled }: ApplyAllInput): Promise<HostPlan> {
    const [machine, backend, settings, signal] = [this.#machine, this.#backend, this.#settings, this.#signal];
    const abilities = await machine.abilities({ signal });
    const isCompiled = isDeepStrictEqual(compiled?.abilities, abilities);
    const compile = (part: HostPlan) =>
      part === plan && isCompiled && compiled !== undefined ? compiled.rules : this.#compile(part, abilities);
    // Beside the rules' way into the kernel it takes no time of its own.
    const looking = machine.surroundings({ signal }).catch(unknownToUs);
    let first = printed;
    const isolated = await isolateRefusal(plan, {
      good: this.#good,
      attempt(part) {
        const options = { ...settings, signal, printed: first };
        first = undefined;
        return applyRules(compile(part), { run, machine, backend, options });
      },
      refusal(error) {
        const refused = refusalIn(error);
        if (refused === undefined) return undefined;
        const { refusedLine } = refused;
        const suspects = (part: HostPlan) =>
          refusedLine === undefined ? [] : suspectServices(refusedLine, part, compile);
        return { error: refused, suspects };
      },
    });
    const marks = marksOf(run.after ?? []);
    this.#keep({ ...isolated, written: { plan: isolated.plan, rules: run.desired, abilities, marks } });
    if (isolated.failures.size === 0) this.#seen = fingerprintsOf(run.after);
    const needs = { families: usedFamilies(plan), localhostNodePorts: servesLocalhost(plan, 4) };
    const beside = unmarkedBeside(run.before ?? [], run.desired);
    const surroundings = await looking;
    this.#machineProblems = [
      ...(surroundings === undefined
        ? []
        : rulesInTheWay({
            ...{ plan: isolated.plan, surroundings, style: this.style, others: surroundings.others },
            after: run.after ?? [],
            variant: this.#machine.choice.tools.variant,
            compile: (part, style) => compileForMachine(part, { ...this.#settings, style, abilities }),
          })),
      ...(beside.length === 0 ? [] : [unmarkedProblem(beside, this.#machine.choice.tools.variant)]),
      // The rules are in: an interruption that comes now changes nothing about it.
      ...(await this.#machine.problemsWith(needs, { signal: new AbortController().signal })),
    ];
    return plan;
  }

  /** Where looks are asked for because something changed; where they are what finds changes, they look at the machine as well. */
  async #print(seen: ReadonlyMap<Family, string>): Promise<readonly PrintedRules[] | undefined> {
    if (this.foreignChanges.kind !== "monitor") return undefined;
    const options = { signal: this.#signal };
    const printed = await Promise.all([...seen.keys()].map((family) => this.#tables.print?.(family, options)));
    return printed.every((rules) => rules !== undefined) ? printed : undefined;
  }

  #compile(plan: HostPlan, abilities: RuleAbilities): readonly DesiredRules[] {
    return compileForMachine(plan, { ...this.#settings, style: this.style, abilities });
  }

  #keep({ written, failures }: { readonly written: Written; readonly failures: ReadonlyMap<string, Problem> }): void {
    this.#written = written;
    this.#good = written.plan;
    this.#failures = failures;
  }

  #report(run: ApplyRun): IptablesApplyReport {
    const { before, changes, mended, desired, deletedUdpFlows, settledUdpMs, refusedPart } = run;
    const differences = () => [
      ...mended,
      ...(before === undefined ? [] : listDifferences(findDifference(before, desired, this.#settings).families)),
    ];
    return {
      changed: changes.length > 0,
      problems: [
        ...variantProblems(this.#machine),
        ...problemsOfTaken(this.#taken),
        ...this.#failures.values(),
        ...run.problems,
        ...this.#machineProblems,
      ],
      tools: this.#machine.choice.tools,
      changes,
      deletedUdpFlows,
      ...(settledUdpMs === undefined ? {} : { settledUdpMs }),
      ...(refusedPart ? { refusedPart } : {}),
      ruleCounts: countRules(desired, changes),
      differences,
      ...(before === undefined && mended.length === 0 ? {} : { found: () => differences().map(placeDifference) }),
      ...(before === undefined
        ? {}
        : {
            continues: before.some(({ tables }) =>
              tables.some(({ chains }) => chains.some(({ name }) => isMark(name))),
            ),
          }),
    };
  }
}

interface ApplyAllInput {
  readonly run: ApplyRun;
  /** What is there, where that was looked at a moment ago. */
  readonly printed: readonly PrintedRules[] | undefined;
  /** What was written for the very same plan. */
  readonly compiled: Written | undefined;
}

function fingerprintsOf(rules: readonly SavedRules[] | undefined): ReadonlyMap<Family, string> | undefined {
  const known = (rules ?? []).flatMap(({ family, fingerprint }) =>
    fingerprint === undefined ? [] : [[family, fingerprint] as const],
  );
  return known.length > 0 && known.length === rules?.length ? new Map(known) : undefined;
}

function isSamePlan(plan: HostPlan, other: HostPlan): boolean {
  return sameContext(plan, other) && changedServices(plan, other)?.size === 0;
}

/** What cannot be read is not told; no apply fails because of it. */
function unknownToUs(error: unknown): undefined {
  if (!(error instanceof SvcproxyError)) throw error;
}
