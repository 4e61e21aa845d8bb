import { EndedTool, explainCrash, runTool, type ToolOptions, type ToolOutput, type ToolRunner } from "@svcproxy/host";
import type { Family } from "@svcproxy/topology";
import { formatChange, type TableChange } from "../change/table-change.ts";
import type { WrittenTable } from "../change/written-table.ts";
import { LEASE, leaseElements } from "../compile/lease.ts";
import { tableName } from "../table/format-table.ts";
import type { NftTable } from "../table/nft-table.ts";
import { parseTable } from "../table/parse-table.ts";
import { hasRulesOf, presenceCheck, sameValuesCheck } from "./check-written.ts";
import type { KeptNft } from "./kept-nft.ts";
import { isMismatch, nftFault } from "./nft-faults.ts";
import { NftRefused } from "./nft-refused.ts";
import { requireSupport } from "./require-support.ts";

export interface KernelTablesOptions {
  /** Default: in this network namespace. */
  readonly run?: ToolRunner;
  /** Those that live on, where small changes are many: for changes, and (with `CHECK_FLAGS`) to read them again; absent: each starts one. */
  readonly kept?: { readonly writer: KeptNft; readonly reader: KeptNft } | undefined;
}

/** Compares with the kernel and changes nothing; rules are listed without counters, sets without elements. */
export const CHECK_FLAGS = ["-c", "-spt"] as const;

/** A listing of rules that is longer than this is mostly of others' rules. It is not asked for with every change, */
const LONG_LISTING = 256 << 10;
/** but again after so many times as long as it took. */
const LISTING_PAUSE = 50;

/** Our tables in the kernel, by way of `nft`. */
export class KernelTables {
  readonly #run: ToolRunner;
  readonly #kept: KernelTablesOptions["kept"];
  readonly #supported = new Set<Family>();
  #mayListAtMs = 0;

  constructor({ run = runTool, kept }: KernelTablesOptions = {}) {
    this.#run = run;
    this.#kept = kept;
  }

  /** @throws EnvironmentError NFT_UNSUPPORTED, NFT_CRASHED, NEEDS_ROOT, MISSING_TOOL */
  async requireSupport(family: Family, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#supported.has(family)) return;
    await requireSupport(family, { run: (_nft, args, options) => this.#nft(args, options), signal });
    this.#supported.add(family);
  }

  /** @returns undefined where there is no table of ours @throws EnvironmentError */
  async read(family: Family, { signal }: { readonly signal: AbortSignal }): Promise<NftTable | undefined> {
    const text = await this.list(family, { signal });
    return text === undefined ? undefined : parseTable(text, family);
  }

  /** The text of our table. @returns undefined where there is none @throws EnvironmentError */
  async list(
    family: Family,
    { signal, counters = false }: { readonly signal: AbortSignal; readonly counters?: boolean },
  ): Promise<string | undefined> {
    const name = tableName(family);
    const output = await this.#nft([counters ? "-p" : "-sp", "list", "table", ...name.split(" ")], { signal });
    if (output.exitCode === 0) return output.stdout;
    if (/No such file or directory/.test(output.stderr)) return undefined;
    throw nftFault(`Cannot read table ${name}`, output);
  }

  /** @throws NftRefused, after which the kernel has what it had @throws EnvironmentError NFT_CRASHED, NEEDS_ROOT */
  async commit(changes: readonly TableChange[]): Promise<void> {
    // A packet that is in the middle of our rules when the table goes finds no more elements in its maps: to it, a service has no endpoint,
    // and it would be refused. So nobody asks the chains any more before their maps go; where that cannot be had, they go at once.
    const goes = changes.flatMap((change) => (change.kind === "removal" ? [tableName(change.family)] : []));
    const sleep = goes.map((name) => `add table ${name} { flags dormant; }\n`).join("");
    if (sleep !== "") await this.#change(sleep, changes).catch(() => {});
    try {
      await this.#change(changes.map(formatChange).join(""), changes);
    } catch (error) {
      // The first reason counts.
      if (goes.length > 0)
        await this.#change(goes.map((name) => `add table ${name}\n`).join(""), changes).catch(() => {});
      throw error;
    }
  }

  async #change(input: string, changes: readonly TableChange[]): Promise<void> {
    const output = await this.#explained(
      async () => (await this.#kept?.writer.run(input)) ?? (await this.#run("nft", ["-f", "-"], { input })),
    );
    if (output.exitCode === 0) return;
    const families = changes.map((change) => (change.kind === "removal" ? change.family : change.transaction.family));
    throw nftFault(`Cannot change table ${[...new Set(families)].map(tableName).join(" and ")}`, output);
  }

  /** Gives all protocols their whole time anew, also where it is over. @throws NftRefused @throws EnvironmentError */
  async renewLease(families: readonly Family[]): Promise<void> {
    const elements = `{ ${leaseElements()
      .map(({ key }) => key)
      .join(", ")} }`;
    // An element that is there keeps its time where it is added; where it is not, it cannot be deleted.
    const input = families.flatMap((family) =>
      ["add", "delete", "add"].map((verb) => `${verb} element ${tableName(family)} ${LEASE} ${elements}\n`),
    );
    const output = await this.#nft(["-f", "-"], { input: input.join("") });
    if (output.exitCode !== 0) throw nftFault("Cannot renew the lease of our tables", output);
  }

  /** Whether a table holds what was written into it. @throws EnvironmentError */
  async isAsWritten(written: WrittenTable): Promise<boolean> {
    const { family } = written;
    const startMs = performance.now();
    const rules = startMs >= this.#mayListAtMs ? await this.#checkWithRules(written) : "unknown";
    if (rules === "otherwise") return false;
    if (rules === "unknown") {
      const values = await this.#check(sameValuesCheck(written, { withRules: false }), family);
      if (values === undefined) return false;
    }
    return (await this.#check(presenceCheck(written), family)) !== undefined;
  }

  /** @returns `unknown` where others' tables hold what this nft cannot list @throws EnvironmentError */
  async #checkWithRules(written: WrittenTable): Promise<"as written" | "otherwise" | "unknown"> {
    const startMs = performance.now();
    try {
      const listing = await this.#check(sameValuesCheck(written, { withRules: true }), written.family);
      if (listing === undefined || !hasRulesOf(written, listing)) return "otherwise";
      const nowMs = performance.now();
      if (listing.length > LONG_LISTING) this.#mayListAtMs = nowMs + LISTING_PAUSE * (nowMs - startMs);
      return "as written";
    } catch (error) {
      if (!(error instanceof NftRefused)) throw error;
      return "unknown";
    }
  }

  /** @returns what nft prints; undefined where the kernel says that something is otherwise @throws EnvironmentError */
  async #check(input: string, family: Family): Promise<string | undefined> {
    if (input === "") return "";
    const output = await this.#explained(
      async () =>
        (await this.#kept?.reader.run(input)) ?? (await this.#run("nft", [...CHECK_FLAGS, "-f", "-"], { input })),
    );
    if (output.exitCode === 0) return output.stdout;
    if (isMismatch(output)) return undefined;
    throw nftFault(`Cannot read what was written to table ${tableName(family)}`, output);
  }

  /** What the elements of set `unremembered` have counted. */
  async readUnremembered(family: Family, { signal }: { readonly signal: AbortSignal }): Promise<number> {
    const output = await this.#nft(["list", "set", ...tableName(family).split(" "), "unremembered"], { signal });
    // Somebody may have removed it meanwhile.
    if (output.exitCode !== 0) return 0;
    return [...output.stdout.matchAll(/counter packets (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  #nft(args: readonly string[], options?: ToolOptions): Promise<ToolOutput> {
    return this.#explained(() => this.#run("nft", args, options));
  }

  /** A crash is. */
  async #explained(run: () => Promise<ToolOutput>): Promise<ToolOutput> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof EndedTool) throw await explainCrash(error, this.#run);
      throw error;
    }
  }
}
