import { createHash } from "node:crypto";
import {
  type DescriptorReserve,
  type IptablesTools,
  MissingTool,
  type ToolOutput,
  type ToolRunner,
  thisMachine,
  toolName,
} from "@svcproxy/host";
import { parseRestore, parseSave, type RuleSet } from "@svcproxy/rules";
import { EnvironmentError, type Family, InputError } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { readBesidePlan } from "./known-chains.ts";
import { restoreFault, saveFault } from "./restore-fault.ts";
import type {
  ChainPlace,
  Interruptible,
  PrintedRules,
  RuleTables,
  SavedRules,
  SaveOptions,
  Urgency,
} from "./rule-tables.ts";
import { countChains, formatChange, formatLargeChange, type TableChange } from "./table-change.ts";

/** How long iptables-restore waits for another program that holds the xtables lock. */
const XTABLES_WAIT_SECONDS = 30;

/** From so many chains on, iptables-nft-restore is fed in the order in which it is quick. */
const LARGE_CHANGE_CHAINS = 500;

/** How often the rules are read when another program changes them at the same moment. */
const SAVE_ATTEMPTS = 5;

/** The flags with which iptables-restore changes some chains and leaves all others. */
export function restoreArguments(): readonly string[] {
  return ["--noflush", "-w", String(XTABLES_WAIT_SECONDS)];
}

/** The kernel's rules, by `iptables-save` and `iptables-restore` of one variant. */
export class IptablesTables implements RuleTables {
  readonly name: string;
  readonly #tools: IptablesTools;
  readonly #heldFd: number | undefined;
  readonly #reserve: DescriptorReserve | undefined;
  readonly #run: ToolRunner;

  /**
   * @param heldFd stays open in whatever changes the rules, see `NamespaceLock`
   * @param reserve what is urgent is started with it
   * @param run how the programs are run: by default in this process' own network namespace
   */
  constructor(
    tools: IptablesTools,
    {
      heldFd,
      reserve,
      run = thisMachine.run,
    }: {
      readonly heldFd?: number | undefined;
      readonly reserve?: DescriptorReserve | undefined;
      readonly run?: ToolRunner;
    } = {},
  ) {
    this.name = toolName(tools, 4, "");
    this.#tools = tools;
    this.#heldFd = heldFd;
    this.#reserve = reserve;
    this.#run = run;
  }

  async save(family: Family, { planned, ...options }: SaveOptions): Promise<SavedRules> {
    return (await this.print(family, options)).read({ planned });
  }

  async print(family: Family, options: Interruptible & Urgency): Promise<PrintedRules> {
    const text = await this.#print(family, options);
    const fingerprint = fingerprintOf(text ?? "");
    return {
      ...{ family, fingerprint },
      read: ({ planned }) =>
        text === undefined
          ? { family, tables: [], fingerprint }
          : { ...readSaved(text, { family, planned }), fingerprint },
    };
  }

  /** With nft a chain is listed in a millisecond; legacy fetches its whole table for it. */
  async readChains(
    family: Family,
    { places, signal }: Interruptible & { readonly places: readonly ChainPlace[] },
  ): Promise<RuleSet | undefined> {
    if (this.#tools.variant !== "nft") return undefined;
    const tool = toolName(this.#tools, family, "");
    const list = async ({ table, chain }: ChainPlace) => {
      const { exitCode, stdout } = await this.#run(tool, ["-t", table, "-S", chain], { signal });
      return exitCode === 0 ? `*${table}\n${stdout}COMMIT\n` : undefined;
    };
    const listed = await Promise.all(places.map(list));
    if (listed.includes(undefined)) return undefined;
    try {
      return parseRestore(listed.join(""), { family, file: tool });
    } catch (error) {
      // Whoever lists all rules tells it.
      if (!(error instanceof InputError)) throw error;
      return undefined;
    }
  }

  /** @returns undefined where there can be no rules */
  async #print(family: Family, { signal, urgent }: Interruptible & Urgency): Promise<string | undefined> {
    const tool = toolName(this.#tools, family, "-save");
    const reserve = urgent === true ? this.#reserve : undefined;
    for (let attempt = 1; ; attempt++) {
      const output = await this.#run(tool, [], { signal, reserve }).catch((error: unknown) => {
        // A machine without the IPv6 tools has no IPv6 rules; to change them is refused below.
        if (error instanceof MissingTool && family === 6) return undefined;
        throw error;
      });
      if (output === undefined) return undefined;
      if (output.exitCode === 0) return output.stdout;
      const fault = saveFault(tool, output);
      if (attempt === SAVE_ATTEMPTS || fault.code !== "RESTORE_REFUSED") throw fault;
    }
  }

  async restore(change: TableChange, urgency: Urgency = {}): Promise<void> {
    const isLarge = this.#tools.variant === "nft" && countChains(change) > LARGE_CHANGE_CHAINS;
    // Should another version of iptables not take the quick way, there is still the plain one.
    if (isLarge && (await this.#feed(change, { ...urgency, input: formatLargeChange(change) })).exitCode === 0) return;
    const output = await this.#feed(change, { ...urgency, input: formatChange(change) });
    if (output.exitCode !== 0) throw restoreFault(toolName(this.#tools, change.family, "-restore"), change, output);
  }

  #feed({ family }: TableChange, { input, urgent }: Urgency & { readonly input: string }): Promise<ToolOutput> {
    const tool = toolName(this.#tools, family, "-restore");
    const reserve = urgent === true ? this.#reserve : undefined;
    return this.#run(tool, restoreArguments(), { input, heldFd: this.#heldFd, reserve });
  }
}

/** @throws EnvironmentError SAVE_UNREADABLE */
function readSaved(
  text: string,
  { family, planned }: { readonly family: Family; readonly planned: DesiredRules | undefined },
): SavedRules {
  const unreadable = [...text.matchAll(/^# Table `([^']*)' is incompatible/gm)].map(([, name = ""]) => name);
  const file = family === 4 ? "iptables-save" : "ip6tables-save";
  try {
    const read =
      planned === undefined ? parseSave(text, { family, file }) : readBesidePlan(text, { family, file, planned });
    return { ...read, unreadable };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new EnvironmentError("SAVE_UNREADABLE", `Cannot read the rules of the kernel: ${error.message}`, {
      cause: error,
    });
  }
}

/** So many characters at a time: of megabytes a copy without the counters would be garbage of as many. */
const FINGERPRINT_PART = 65_536;

/** Of what `iptables-save` prints, without when it did and the counters of built-in chains. */
function fingerprintOf(text: string): string {
  const hash = createHash("sha256");
  for (let start = 0; start < text.length; ) {
    const lineEnd = text.indexOf("\n", start + FINGERPRINT_PART);
    const end = lineEnd < 0 ? text.length : lineEnd + 1;
    const lines = text.slice(start, end);
    hash.update(
      lines.replaceAll(/^# (?:Generated|Completed) .*\n/gm, "").replaceAll(/^(:\S+ \S+) \[\d+:\d+\]$/gm, "$1"),
    );
    start = end;
  }
  return hash.digest("hex");
}
