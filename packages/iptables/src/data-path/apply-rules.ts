import type { RuleSet } from "@svcproxy/rules";
import type { DesiredRules } from "../desired-rules.ts";
import type { ApplyRunOptions, RuleBackend } from "../kernel/rule-backend.ts";
import { type ApplyRun, settleUdpFlows } from "./apply-run.ts";
import type { OpenMachine } from "./iptables-machine.ts";

export interface ApplyRulesInput {
  readonly machine: OpenMachine;
  readonly backend: RuleBackend;
  readonly options: Omit<ApplyRunOptions, "settle">;
  readonly run: ApplyRun;
  /** Whether another data path serves what these rules served. */
  readonly handsOver?: boolean;
}

/** Makes all our rules equal the desired ones, after a look at what there is, and does what is to be done once they are in. */
export async function applyRules(
  desired: readonly DesiredRules[],
  { machine, backend, options, run, handsOver = false }: ApplyRulesInput,
): Promise<void> {
  let ours: readonly RuleSet[] = [];
  const outcome = await backend.apply(desired, {
    ...options,
    async settle(before) {
      ours = before;
      if (!handsOver) await settleUdpFlows(machine, { before, after: desired, run });
    },
  });
  run.changes.push(...outcome.changes);
  run.before ??= outcome.before;
  run.after = outcome.after;
  run.desired = desired;
  for (const { family, table, chain, heldBy } of outcome.heldChains) {
    run.problems.push({
      ...{ code: "CHAINS_HELD", severity: "warning", subject: `chain ${chain}` },
      text: `chain ${chain} (IPv${family} ${table}) is no longer needed, but stays, empty: foreign chain ${heldBy} jumps to it`,
    });
  }
  if (handsOver) return;
  const hole = await machine.lostGuard({ before: ours, after: desired });
  if (hole !== undefined) run.problems.push(hole);
}
