import { composePlan, serviceName, serviceProblem } from "@svcproxy/host";
import { changedServices, EnvironmentError, type HostPlan, type Problem } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { RestoreRefused, type RuleTables, refusalIn } from "../kernel/rule-tables.ts";
import type { TableChange } from "../kernel/table-change.ts";
import { withJournal } from "../kernel/udp-journal.ts";
import { type ApplyRun, settleUdpFlows, type Written } from "./apply-run.ts";
import type { OpenMachine } from "./iptables-machine.ts";
import { ruleDelta } from "./rule-delta.ts";

/** So many services that failed are tried again one by one; more of them are left to a look. */
const MAX_RETRIED = 8;

export interface ApplyChangedInput {
  readonly plan: HostPlan;
  readonly changed: ReadonlySet<string>;
  readonly written: Written;
  /** Services that failed before, and why: they are tried again. */
  readonly failures: ReadonlyMap<string, Problem>;
  readonly machine: OpenMachine;
  readonly tables: RuleTables;
  readonly compile: (plan: HostPlan) => readonly DesiredRules[];
  readonly run: ApplyRun;
}

export interface AppliedChange {
  /** What was asked for: the new plan for what changed, the last one for the rest. */
  readonly asked: HostPlan;
  readonly written: Written;
  readonly failures: ReadonlyMap<string, Problem>;
}

/**
 * Feeds the kernel what tells a plan from what was written, without a look at what it has.
 *
 * @returns undefined where it takes a look
 */
export async function applyChanged(input: ApplyChangedInput): Promise<AppliedChange | undefined> {
  const { plan, changed, run } = input;
  const failures = new Map(
    [...input.failures].filter(([name]) => plan.ports.some((port) => serviceName(port) === name)),
  );
  if (failures.size > MAX_RETRIED) return undefined;
  const isNew = (name: string) => changed.has(name) || failures.has(name);
  const differing = changedServices(plan, input.written.plan);
  const isAllNew = differing !== undefined && [...differing].every(isNew);
  const asked = isAllNew ? plan : composePlan(plan, { other: input.written.plan, isOther: (name) => !isNew(name) });
  const feedAllBut = (names: readonly string[], written: Written) => {
    const isOther = (name: string) => names.includes(name);
    const part = names.length === 0 ? asked : composePlan(asked, { other: written.plan, isOther });
    return feedPlan(part, { ...input, written });
  };

  const first = await feedAllBut([...failures.keys()], input.written);
  if (first.kind !== "written") return undefined;
  let { written } = first;
  for (const name of [...failures.keys()]) {
    const next = await feedAllBut(
      [...failures.keys()].filter((other) => other !== name),
      written,
    );
    if (next.kind === "look") return undefined;
    if (next.kind === "written") {
      written = next.written;
      failures.delete(name);
    } else failures.set(name, serviceProblem(name, next.refused));
  }
  run.desired = written.rules;
  return { asked, written, failures };
}

type Fed =
  | { readonly kind: "written"; readonly written: Written }
  /** The kernel has what it had. */
  | { readonly kind: "refused"; readonly refused: RestoreRefused }
  | { readonly kind: "look" };

async function feedPlan(
  plan: HostPlan,
  input: Pick<ApplyChangedInput, "written" | "machine" | "tables" | "compile" | "run">,
): Promise<Fed> {
  const { written, machine, run } = input;
  const rules = input.compile(plan);
  const noted = hasUdp(written.plan, plan) ? withJournal(rules, written.rules) : rules;
  const refused = await feedRules(noted, input);
  if (refused === "look") return { kind: "look" };
  if (refused !== undefined) return { kind: "refused", refused };
  if (hasUdp(written.plan, plan)) await settleUdpFlows(machine, { before: written.rules, after: rules, run });
  // What does not go in now is what a killed run leaves: the next look takes it away.
  if (noted !== rules && (await feedRules(rules, { ...input, written: { ...written, rules: noted } })) !== undefined)
    return { kind: "look" };
  return { kind: "written", written: { ...written, plan, rules } };
}

/** @returns the refusal, after which the kernel has what it had; undefined: it went in */
async function feedRules(
  wanted: readonly DesiredRules[],
  { written, tables, run }: Pick<ApplyChangedInput, "written" | "tables" | "run">,
): Promise<RestoreRefused | "look" | undefined> {
  const delta = ruleDelta(written.rules, wanted);
  if (delta === undefined) return "look";
  const fed: TableChange[] = [];
  for (const change of delta) {
    try {
      await tables.restore(change);
    } catch (error) {
      const isBack = await takeBack(fed, { tables, delta: ruleDelta(wanted, written.rules) ?? [] });
      run.refusedPart = true;
      if (!(error instanceof RestoreRefused)) throw fed.length === 0 ? error : withState(error, isBack);
      return isBack ? (refusalIn(error) ?? "look") : "look";
    }
    fed.push(change);
  }
  run.changes.push(...fed);
  return undefined;
}

/** @returns whether the tables that were changed have what they had */
async function takeBack(
  fed: readonly TableChange[],
  { tables, delta }: { readonly tables: RuleTables; readonly delta: readonly TableChange[] },
): Promise<boolean> {
  const back = delta.filter(({ family, table }) => fed.some((each) => each.family === family && each.table === table));
  try {
    for (const change of back) await tables.restore(change, { urgent: true });
    return back.length === fed.length;
  } catch (error) {
    if (error instanceof EnvironmentError) return false;
    throw error;
  }
}

/** An error that is not a refusal, for instance that no tool could be started, with what became of the tables before. */
function withState(error: unknown, isBack: boolean): unknown {
  if (!(error instanceof EnvironmentError)) return error;
  const state = isBack
    ? "the host has its old rules again"
    : "some tables had changed before and could not be put back: the next apply mends them once the cause is gone";
  return new EnvironmentError(error.code, `${error.message}; ${state}`, {
    cause: error,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}

/** Whether flows that conntrack keeps may have to go: only those of UDP outlive the rules that sent them. */
function hasUdp(before: HostPlan, after: HostPlan): boolean {
  const udpOf = ({ ports }: HostPlan) => ports.filter(({ port }) => port.protocol === "udp");
  const [was, is] = [udpOf(before), udpOf(after)];
  const known = new Set(was);
  return was.length !== is.length || is.some((port) => !known.has(port));
}
