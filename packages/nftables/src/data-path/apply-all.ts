import { setTimeout as delay } from "node:timers/promises";
import { addCounts, NO_COUNTS } from "@svcproxy/host";
import { EnvironmentError, type Family, type HostPlan, problemOfError } from "@svcproxy/topology";
import { commitSteps } from "../change/commit-steps.ts";
import type { PlannedChange, TableKeeper } from "../change/table-keeper.ts";
import { isGuarding } from "../compile/fixed-chains.ts";
import { NftRefused } from "../nft/nft-refused.ts";
import { tableName } from "../table/format-table.ts";
import { concernsUdp, type UdpChange } from "../udp/stale-udp-flows.ts";
import { NO_UDP, udpFrontendsOf, wantedUdpFrontends } from "../udp/udp-frontends.ts";
import type { ApplyRun } from "./apply-run.ts";
import { type Draft, draftChange, usesFamily } from "./draft-change.ts";
import type { OpenNftMachine } from "./nft-machine.ts";
import { FAMILIES, type NftablesSettings } from "./nftables-settings.ts";
import { foreignChange } from "./table-problems.ts";

/** How often we set to again when another program changes our tables between our look and our change, or undoes it. */
const ATTEMPTS = 12;

/** Longest pause before another attempt: long enough for the other program to end what it is at. */
const MAX_PAUSE_MS = 500;

export interface ApplyAllInput {
  readonly machine: OpenNftMachine;
  readonly settings: NftablesSettings;
  readonly signal: AbortSignal;
  readonly run: ApplyRun;
}

/** By family, what is known of each table that the plan takes. */
export type Keepers = ReadonlyMap<Family, TableKeeper>;

/**
 * Makes our tables keep a plan after a look at all that they hold. What was written is read again, because nft has no way to make a change
 * depend on what was read before it; of a table that was not there the rules alone, because creating it fails where somebody else was
 * faster.
 *
 * @throws NftRefused where the kernel has what it had
 * @throws EnvironmentError RULES_KEEP_CHANGING, INTERRUPTED and others of the machine
 */
export async function applyAll(plan: HostPlan, input: ApplyAllInput): Promise<Keepers> {
  const { machine, settings, signal, run } = input;
  for (const family of familiesOf(settings)) {
    if (usesFamily(plan, family)) await machine.requireSupport(family, { signal });
  }
  for (let attempt = 0; ; attempt++) {
    const drafts = await draftAll(plan, input);
    run.before ??= new Map(drafts.map(({ family, table }) => [family, table]));
    const isDone = drafts.every(({ change }) => change === undefined);
    if (!isDone) {
      if (attempt === ATTEMPTS) throw keepsChanging(drafts);
      if (attempt > 1) await pause(attempt, signal);
      if (!(await carryOut(drafts, input))) continue;
    }
    for (const { change, kept } of drafts) if (change === undefined) kept?.keeper.commit(kept.planned);
    await settleAll(drafts, input);
    await reportLostGuard(drafts, input);
    run.unnumbered.push(...drafts.flatMap(({ kept }) => kept?.planned.unnumbered ?? []));
    return new Map(drafts.flatMap(({ family, kept }) => (kept === undefined ? [] : [[family, kept.keeper]])));
  }
}

/** @returns whether our tables are as they were to be written; else it is to be looked at again */
async function carryOut(drafts: readonly Draft[], { machine, run }: ApplyAllInput): Promise<boolean> {
  const changes = drafts.flatMap(({ change }) => change ?? []);
  try {
    for (const step of commitSteps(changes)) await machine.commit(step);
  } catch (error) {
    if (error instanceof NftRefused && error.isMismatch) return false;
    throw error;
  }
  run.changes.push(...changes);
  const written = drafts.flatMap(({ change, kept }) => (change === undefined || kept === undefined ? [] : [kept]));
  for (const { keeper, planned } of written) keeper.commit(planned);
  return isAsWritten(written, { machine, run });
}

/** What is otherwise than it was written is told. */
async function isAsWritten(
  changed: readonly { readonly keeper: TableKeeper; readonly planned: PlannedChange }[],
  { machine, run }: Pick<ApplyAllInput, "machine" | "run">,
): Promise<boolean> {
  let isAll = true;
  for (const { keeper, planned } of changed) {
    if (await machine.isAsWritten(keeper.written(planned))) continue;
    isAll = false;
    const problem = foreignChange(planned.transaction.family);
    if (!run.problems.some(({ code, subject }) => code === problem.code && subject === problem.subject)) {
      run.problems.push(problem);
    }
  }
  return isAll;
}

/** UDP flows are looked at whatever was changed: a run that was killed may have left some. */
async function settleAll(drafts: readonly Draft[], { machine, run }: ApplyAllInput): Promise<void> {
  for (const { family, kept } of drafts) {
    const table = run.before?.get(family);
    const before = table === undefined ? NO_UDP : udpFrontendsOf(table);
    const after = kept === undefined ? NO_UDP : wantedUdpFrontends(kept.wanted.ports, family);
    await settleUdp({ before, after }, { family, machine, run });
  }
}

/** Deletes the UDP flows that a change leaves without an answer. What goes wrong leaves the change in place, and is told. */
export async function settleUdp(
  change: UdpChange,
  { family, machine, run }: Pick<ApplyAllInput, "machine" | "run"> & { readonly family: Family },
): Promise<void> {
  if (!concernsUdp(change)) return;
  const startedMs = performance.now();
  try {
    const deleted = await machine.settleUdp(family, change);
    run.deletedUdpFlows = addCounts(run.deletedUdpFlows, { ...NO_COUNTS, [family]: deleted });
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    const problem = problemOfError(error, { subject: `UDP flows of IPv${family}` });
    const consequence = "UDP clients that keep on sending stay with endpoints that are gone";
    run.problems.push({ ...problem, text: `${problem.text}: ${consequence}` });
  } finally {
    run.settledUdpMs = (run.settledUdpMs ?? 0) + performance.now() - startedMs;
  }
}

async function reportLostGuard(drafts: readonly Draft[], { machine, run }: ApplyAllInput): Promise<void> {
  const wasGuarded = [...(run.before?.values() ?? [])].some((table) => table !== undefined && isGuarding(table));
  const isGuarded = drafts.some(({ kept }) => kept?.wanted.settings.guardsLocalhost === true);
  const hole = await machine.lostGuard({ wasGuarded, isGuarded });
  if (hole !== undefined) run.problems.push(hole);
}

function keepsChanging(drafts: readonly Draft[]): EnvironmentError {
  const tables = drafts.filter(({ change }) => change !== undefined).map(({ family }) => tableName(family));
  return new EnvironmentError(
    "RULES_KEEP_CHANGING",
    `The table was made as planned ${ATTEMPTS} times, and each time another program changed it again: ${tables.join(", ")}`,
    { hint: "`svcproxy nftables diff` tells what it changes; stop that program, then apply again" },
  );
}

async function pause(attempt: number, signal: AbortSignal): Promise<void> {
  await delay(Math.min(MAX_PAUSE_MS, 10 * 2 ** attempt), undefined, { signal }).catch(() => {});
}

export function familiesOf({ families = FAMILIES }: NftablesSettings): readonly Family[] {
  return families;
}

/** What it takes to make each family's table keep a plan, after a look at what it holds. */
export function draftAll(
  plan: HostPlan,
  { machine, settings, signal }: Pick<ApplyAllInput, "machine" | "settings" | "signal">,
): Promise<readonly Draft[]> {
  if (signal.aborted) throw new EnvironmentError("INTERRUPTED", "Interrupted", { cause: signal.reason });
  return Promise.all(
    familiesOf(settings).map(async (family) => {
      const table = await machine.read(family, { signal });
      return draftChange(plan, { family, table, settings });
    }),
  );
}
