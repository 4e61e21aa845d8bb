import { readFile } from "node:fs/promises";
import { findRuleTools, type Machine, toolName, type Variant } from "@svcproxy/host";
import { type NftTable, parseNft, parseSave, type RuleSet } from "@svcproxy/rules";
import { EnvironmentError, type Family, InputError } from "@svcproxy/topology";
import { TABLE } from "../table/nft-table.ts";
import { type ForeignRules, mayMatter } from "./coexistence-problems.ts";

/** kube-proxy's own: it has as many lines as the cluster has services, and all its chains are asked after ours or let our packets pass. */
const PASSED_OVER = new Set([TABLE, "kube-proxy"]);

export interface ReadForeignOptions {
  readonly signal: AbortSignal;
  /** The tables that the older iptables has in a family; default those that /proc names. */
  readonly namedTables?: (family: Family) => Promise<readonly string[]>;
}

/**
 * Reads what other programs' rules may do to our packets: first the base chains, which costs nothing, then the tables of those that
 * may matter. What cannot be read is left out.
 *
 * @throws EnvironmentError INTERRUPTED
 */
export async function readForeignRules(
  machine: Pick<Machine, "run" | "hasTool">,
  { signal, namedTables = readNamedTables }: ReadForeignOptions,
): Promise<ForeignRules> {
  const { iptables: tools } = await findRuleTools(machine, { signal });
  const tables: NftTable[] = [];
  const iptables: { variant: Variant; rules: RuleSet }[] = [];
  /** @returns whether iptables has words for all of its filter table */
  const readSaved = async (variant: Variant, family: Family): Promise<boolean> => {
    const found = tools.find((each) => each.tools.variant === variant);
    if (found === undefined) return false;
    const text = await output(machine, {
      tool: toolName(found.tools, family, "-save"),
      args: ["-t", "filter"],
      signal,
    });
    if (text === undefined || /incompatible, use 'nft' tool/.test(text)) return false;
    const rules = read(() => parseSave(text, { family }));
    if (rules !== undefined) iptables.push({ variant, rules });
    return rules !== undefined;
  };
  for (const { family, name, isOfIptables } of await suspectTables(machine, signal)) {
    if (isOfIptables && (await readSaved("nft", family === "ip6" ? 6 : 4))) continue;
    const text = await output(machine, { tool: "nft", args: ["-j", "list", "table", family, name], signal });
    tables.push(...(text === undefined ? [] : (read(() => parseNft(text))?.tables ?? [])));
  }
  for (const family of [4, 6] as const) {
    // Whoever asks the older iptables for a table that it does not have makes it.
    if ((await namedTables(family)).includes("filter")) await readSaved("legacy", family);
  }
  return { nft: { tables }, iptables };
}

/** Tables of these names, in a family of their own, are iptables-nft's. */
const IPTABLES = new Set(["raw", "mangle", "nat", "filter", "security"]);

interface SuspectTable {
  readonly family: string;
  readonly name: string;
  /** Made by iptables-nft, whose own words nft does not know. */
  readonly isOfIptables: boolean;
}

/** Those with a base chain that may take or drop packets of ours. */
async function suspectTables(machine: Pick<Machine, "run">, signal: AbortSignal): Promise<readonly SuspectTable[]> {
  const text = await output(machine, { tool: "nft", args: ["-j", "list", "chains"], signal });
  const found = new Map<string, SuspectTable>();
  for (const chain of text === undefined ? [] : baseChains(text)) {
    const { family, table: name } = chain;
    if (!["ip", "ip6", "inet"].includes(family) || PASSED_OVER.has(name) || !mayMatter(chain)) continue;
    // iptables-nft rewrites at -100 and after, and what its raw and mangle tables drop they drop for other reasons.
    const isOfIptables = family !== "inet" && IPTABLES.has(name) && chain.type !== "nat";
    if (isOfIptables && chain.hook !== "forward") continue;
    found.set(`${family} ${name}`, { family, name, isOfIptables });
  }
  return [...found.values()];
}

interface BaseChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly type: string;
  readonly hook: string;
  readonly priority: number;
}

/** @param text what `nft -j list chains` prints */
function baseChains(text: string): readonly BaseChain[] {
  const listing: unknown = JSON.parse(text);
  if (!isRecord(listing) || !Array.isArray(listing["nftables"])) return [];
  return listing["nftables"].flatMap((entry: unknown): BaseChain[] => {
    const chain = isRecord(entry) ? entry["chain"] : undefined;
    if (!isRecord(chain)) return [];
    const { family, table, name, type, hook, prio: priority } = chain;
    if (typeof family !== "string" || typeof table !== "string" || typeof name !== "string") return [];
    if (typeof type !== "string" || typeof hook !== "string" || typeof priority !== "number") return [];
    return [{ family, table, name, type, hook, priority }];
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

async function readNamedTables(family: Family): Promise<readonly string[]> {
  const names = await readFile(`/proc/net/${family === 4 ? "ip" : "ip6"}_tables_names`, "utf8").catch(() => "");
  return names.split("\n");
}

/** @returns undefined where the program is not there, or fails */
async function output(
  machine: Pick<Machine, "run">,
  { tool, args, signal }: { readonly tool: string; readonly args: readonly string[]; readonly signal: AbortSignal },
): Promise<string | undefined> {
  try {
    const { exitCode, stdout } = await machine.run(tool, args, { signal });
    return exitCode === 0 ? stdout : undefined;
  } catch (error) {
    if (!(error instanceof EnvironmentError) || error.code === "INTERRUPTED") throw error;
    return undefined;
  }
}

/** @returns undefined for what cannot be read */
function read<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
