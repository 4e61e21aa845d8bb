import type { Family, HostPlan, ServicePortPlan } from "@svcproxy/topology";
import { commitSteps } from "../change/commit-steps.ts";
import type { PlannedChange, TableKeeper } from "../change/table-keeper.ts";
import { isEmpty } from "../change/transaction.ts";
import { type WantedPort, wantedPorts } from "../compile/wanted-port.ts";
import { NftRefused } from "../nft/nft-refused.ts";
import { wantedUdpFrontends } from "../udp/udp-frontends.ts";
import { type ApplyAllInput, familiesOf, type Keepers, settleUdp } from "./apply-all.ts";
import { usesFamily } from "./draft-change.ts";
import type { ReadBack } from "./read-back.ts";

export interface ApplySomeInput extends ApplyAllInput {
  readonly keepers: Keepers;
  /** `namespace/name`, and all ports that they have in the plan. */
  readonly services: ReadonlySet<string>;
  readonly ports: readonly ServicePortPlan[];
  readonly readBack: ReadBack;
}

export type AppliedSome =
  | { readonly kind: "written" }
  /** The kernel has what it had. */
  | { readonly kind: "refused"; readonly refused: NftRefused }
  /** It takes a look at the tables. */
  | { readonly kind: "look" };

/** Makes our tables keep a plan in which only some services are not as they were, by what is known of them. */
export async function applySome(plan: HostPlan, input: ApplySomeInput): Promise<AppliedSome> {
  const { keepers, services, settings, machine, run } = input;
  const drafts: { family: Family; keeper: TableKeeper; planned: PlannedChange; wanted: readonly WantedPort[] }[] = [];
  for (const family of familiesOf(settings)) {
    const keeper = keepers.get(family);
    // A table comes or goes: those that did not change had none to do with a family that has no table.
    const isUsed =
      input.ports.some((port) => port.family === family) || (keeper !== undefined && usesFamily(plan, family));
    if ((keeper !== undefined) !== isUsed) return { kind: "look" };
    if (keeper === undefined) continue;
    const countsTraffic = settings.countsTraffic === true;
    const wanted = wantedPorts(plan, { family, countsTraffic, ports: input.ports });
    drafts.push({ family, keeper, wanted, planned: keeper.planSome(services, wanted) });
  }
  const transactions = drafts.map(({ planned }) => planned.transaction).filter((transaction) => !isEmpty(transaction));
  const changes = transactions.map((transaction) => ({ kind: "transaction", transaction }) as const);
  let done = 0;
  try {
    for (const step of commitSteps(changes)) {
      await machine.commit(step);
      done++;
    }
  } catch (error) {
    for (const { keeper, planned } of drafts) keeper.abandon(planned);
    if (!(error instanceof NftRefused)) throw error;
    run.refusedPart = true;
    // Chains that were made for it are there by now.
    return error.isMismatch || done > 0 ? { kind: "look" } : { kind: "refused", refused: error };
  }
  run.changes.push(...changes);
  for (const { family, keeper, planned, wanted } of drafts) {
    keeper.commit(planned);
    run.unnumbered.push(...planned.unnumbered);
    const before = wantedUdpFrontends(
      (planned.some?.before ?? []).map(({ wanted }) => wanted),
      family,
    );
    const after = wantedUdpFrontends(wanted, family);
    await settleUdp({ before, after }, { family, machine, run });
  }
  for (const { keeper, planned } of drafts)
    if (!isEmpty(planned.transaction)) input.readBack.add(keeper.written(planned));
  return (await input.readBack.settle({ machine, run })) ? { kind: "written" } : { kind: "look" };
}
