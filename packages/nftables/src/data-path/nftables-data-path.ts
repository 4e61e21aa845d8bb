import {
  type Census,
  type DataPath,
  joinCensuses,
  NO_COUNTS,
  problemsOfTaken,
  translationLimitations,
  withoutTakenNodePorts,
} from "@svcproxy/host";
import { detectsPods, EnvironmentError, type Family, type HostPlan, type Problem } from "@svcproxy/topology";
import type { TableChange } from "../change/table-change.ts";
import { isGuarding } from "../compile/fixed-chains.ts";
import { tableName } from "../table/format-table.ts";
import { NO_UDP, udpFrontendsOf } from "../udp/udp-frontends.ts";
import { draftAll, familiesOf, settleUdp } from "./apply-all.ts";
import { newRun } from "./apply-run.ts";
import { censusOfTable } from "./census-of-table.ts";
import { describeDraft } from "./describe-draft.ts";
import { usesFamily } from "./draft-change.ts";
import { kernelMachine } from "./kernel-machine.ts";
import type { NftMachine, OpenNftMachine } from "./nft-machine.ts";
import type { NftablesCleanupReport, NftablesPlanDifference } from "./nftables-report.ts";
import { NftablesSession } from "./nftables-session.ts";
import type { NftablesEvents, NftablesSettings } from "./nftables-settings.ts";
import { PreservedTables } from "./preserved-tables.ts";

export interface CleanupOptions {
  readonly signal: AbortSignal;
  /** Whether another data path serves the same plan by now: then UDP flows go on, and what kept neighbours off loopback is its business. */
  readonly handsOver?: boolean;
  /** Tell what would be removed, and change nothing. */
  readonly isDryRun?: boolean;
}

export interface NftablesDataPathOptions extends NftablesEvents {
  readonly settings?: NftablesSettings;
  /** Default: this network namespace's kernel. */
  readonly machine?: NftMachine;
}

/** What tables of nftables cannot do of this plan, whatever the machine. */
export function tableLimitations(plan: HostPlan): readonly Problem[] {
  return translationLimitations(plan, {
    dataPath: "nftables",
    marksClientsOutside: (family) => detectsPods(plan.podDetector, family),
  });
}

/** Services as elements of maps of nftables. Its own results say more than the interface asks for. */
export class NftablesDataPath implements DataPath {
  readonly name = "nftables";
  readonly #settings: NftablesSettings;
  readonly #machine: NftMachine;
  readonly #events: NftablesEvents;

  constructor({ settings = {}, machine = kernelMachine(), ...events }: NftablesDataPathOptions = {}) {
    this.#settings = settings;
    this.#machine = machine;
    this.#events = events;
  }

  limitations(plan: HostPlan): readonly Problem[] {
    return tableLimitations(plan);
  }

  /** @throws EnvironmentError as `open`, and NFT_UNSUPPORTED, NFT_CRASHED */
  async compare(plan: HostPlan, { signal }: { readonly signal: AbortSignal }): Promise<NftablesPlanDifference> {
    await using machine = await this.#open(signal, { isExclusive: false });
    for (const family of familiesOf(this.#settings)) {
      if (usesFamily(plan, family)) await machine.requireSupport(family, { signal });
    }
    const { takePorts } = this.#settings;
    const { plan: served, taken } = await withoutTakenNodePorts(plan, { machine, takePorts });
    // A comparison asks for the same services, whoever keeps them.
    const settings = { isLeased: "as-found", ...this.#settings } as const;
    const drafts = await draftAll(served, { machine, settings, signal });
    return {
      differences: drafts.flatMap(describeDraft),
      problems: [...problemsOfTaken(taken), ...(await machine.problemsWith(served, { signal, ...this.#settings }))],
      changes: drafts.flatMap(({ change }) => change ?? []),
    };
  }

  /** @throws EnvironmentError as `open` */
  async cleanup({ signal, isDryRun = false, handsOver = false }: CleanupOptions): Promise<NftablesCleanupReport> {
    await using machine = await this.#open(signal, { isExclusive: !isDryRun });
    const tables = await Promise.all(
      familiesOf(this.#settings).map(async (family) => ({ family, table: await machine.read(family, { signal }) })),
    );
    const found = tables.flatMap(({ family, table }) => (table === undefined ? [] : [{ family, table }]));
    const changes = found.map(({ family }): TableChange => ({ kind: "removal", family }));
    const removed = found.map(({ family }) => `table ${tableName(family)}`);
    if (isDryRun || changes.length === 0) return { removed, problems: [], deletedUdpFlows: NO_COUNTS };
    await machine.commit(changes);
    if (handsOver) return { removed, problems: [], deletedUdpFlows: NO_COUNTS };
    const run = newRun();
    for (const { family, table } of found) {
      await settleUdp({ before: udpFrontendsOf(table), after: NO_UDP }, { family, machine, run });
    }
    const guarded = found.some(({ table }) => isGuarding(table));
    const hole = await machine.lostGuard({ wasGuarded: guarded, isGuarded: false });
    return {
      removed,
      problems: [...run.problems, ...(hole === undefined ? [] : [hole])],
      deletedUdpFlows: run.deletedUdpFlows,
    };
  }

  /** @throws EnvironmentError as `open` */
  async census({ signal }: { readonly signal: AbortSignal }): Promise<Census> {
    await using machine = await this.#open(signal, { isExclusive: false });
    const tables = await Promise.all(familiesOf(this.#settings).map((family) => machine.read(family, { signal })));
    return joinCensuses(tables.flatMap((table) => (table === undefined ? [] : censusOfTable(table))));
  }

  /** @throws EnvironmentError as `open` */
  async preserve({ signal }: { readonly signal: AbortSignal }): Promise<PreservedTables | undefined> {
    await using machine = await this.#open(signal, { isExclusive: false });
    const tables = await Promise.all(familiesOf(this.#settings).map((family) => machine.read(family, { signal })));
    // A dormant one serves nobody.
    const found = tables.flatMap((table) => (table === undefined || table.isDormant === true ? [] : [table]));
    if (found.length === 0) return undefined;
    return new PreservedTables({ tables: found, open: (end) => this.#open(end, { isExclusive: true }) });
  }

  /**
   * Makes sure that nft and the kernel can carry out a plan of this family; changes nothing.
   *
   * @throws EnvironmentError as `open`, and NFT_UNSUPPORTED, NFT_CRASHED, NEEDS_ROOT
   */
  async requireSupport(family: Family, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    await using machine = await this.#open(signal, { isExclusive: false });
    await machine.requireSupport(family, { signal });
  }

  /** @throws EnvironmentError MISSING_TOOL, LOCKED, INTERRUPTED */
  async open(signal: AbortSignal): Promise<NftablesSession> {
    const machine = await this.#open(signal, { isExclusive: true });
    return new NftablesSession({ machine, settings: this.#settings, signal });
  }

  async #open(signal: AbortSignal, { isExclusive }: { readonly isExclusive: boolean }): Promise<OpenNftMachine> {
    if (signal.aborted) throw new EnvironmentError("INTERRUPTED", "Interrupted", { cause: signal.reason });
    return this.#machine.open({ signal, isExclusive, onWait: this.#events.onWait });
  }
}
