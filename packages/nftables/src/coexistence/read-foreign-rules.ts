import { readFile } from "node:fs/promises";
import { findRuleTools, type Machine, toolName, type Variant } from "@svcproxy/host";
import { type NftTable, parseNft, parseSave, type RuleSet } from "@svcproxy/rules";
import { EnvironmentError, type Family, InputError } from "@svcproxy/topology";
import { FAMILIES } from "../data-path/nftables-settings.ts";
import { TABLE } from "../table/nft-table.ts";
import { type ForeignRules, mayMatter } from "./coexistence-problems.ts";

/** kube-proxy's own: it has as many lines as the cluster has services, and all its chains are asked after ours or let our packets pass. */
const PASSED_OVER = new Set([TABLE, "kube-proxy"]);

export interface ReadForeignOptions {
  readonly signal: AbortSignal;
  /** The tables that the older iptables has in a family; default those that /proc names. */
  readonly namedTables?: (family: Family) => Promise<readonly string[]>;
  /** Whether those that translate after ours are read too: what is dialled straight meets them. */
  readonly readsTranslations?: boolean;
}

/** iptables-nft prints more chains than these slowly. */
const MANY_CHAINS = 500;
/** A listing of the older iptables that is longer than this takes long to read. */
const LONG_LISTING = 512 << 10;

/**
 * Reads what other programs' rules may do to our packets: first which chains there are, which costs nothing, then the tables that
 * may matter. What cannot be read is left out.
 *
 * @throws EnvironmentError INTERRUPTED
 */
export async function readForeignRules(
  machine: Pick<Machine, "run" | "hasTool">,
  { signal, namedTables = readNamedTables, readsTranslations = false }: ReadForeignOptions,
): Promise<ForeignRules> {
  const { iptables: tools } = await findRuleTools(machine, { signal });
  const save = async (variant: Variant, family: Family, args: readonly string[]) => {
    const found = tools.find((each) => each.tools.variant === variant);
    return found === undefined
      ? undefined
      : output(machine, { tool: toolName(found.tools, family, "-save"), args, signal });
  };
  const tables: NftTable[] = [];
  const iptables: { variant: Variant; rules: RuleSet }[] = [];
  const ownRules: string[] = [];
  const listed = await output(machine, { tool: "nft", args: ["-j", "list", "chains"], signal });
  const chains = listed === undefined ? [] : chainsIn(listed);
  const isMet = (chain: ListedChain) => mayBeMet(chain) || (readsTranslations && translates(chain));
  const native = new Map(chains.filter(isMet).map((chain) => [`${chain.family} ${chain.table}`, chain]));
  for (const family of FAMILIES) {
    const own = chains.filter((chain) => isOfIptables(chain) && chain.family === (family === 4 ? "ip" : "ip6"));
    const suspects = [...native.values()].filter((chain) => own.includes(chain));
    if (own.some(({ name }) => name.startsWith(OWN_MARKER))) ownRules.push(`${nameOf(family)}-nft`);
    if (suspects.length > 0) {
      const text = await save("nft", family, own.length > MANY_CHAINS ? ["-t", "filter"] : []);
      const rules = text === undefined ? undefined : read(() => parseSave(text, { family }));
      if (rules !== undefined) iptables.push({ variant: "nft", rules });
      // What iptables has no words for, nft has.
      for (const { family: word, table } of suspects) {
        const isSaved = rules !== undefined && text?.includes(`Table \`${table}' is incompatible`) !== true;
        if (isSaved) native.delete(`${word} ${table}`);
      }
    }
    // Whoever asks the older iptables for a table that it does not have makes it.
    if ((await namedTables(family)).length === 0) continue;
    const all = await save("legacy", family, []);
    if (all?.includes(`:${OWN_MARKER}`) === true) ownRules.push(`${nameOf(family)}-legacy`);
    const isLong = all !== undefined && all.length > LONG_LISTING;
    const text = isLong ? await save("legacy", family, ["-t", "filter"]) : all;
    const rules = text === undefined ? undefined : read(() => parseSave(text, { family }));
    if (rules !== undefined) iptables.push({ variant: "legacy", rules });
  }
  for (const { family, table } of native.values()) {
    const text = await output(machine, { tool: "nft", args: ["-j", "list", "table", family, table], signal });
    tables.push(...(text === undefined ? [] : (read(() => parseNft(text))?.tables ?? [])));
  }
  return { nft: { tables }, iptables, ownRules };
}

/** The empty chain by which our rules of iptables are known begins with this. */
const OWN_MARKER = "SVCPROXY-OWNS";

function nameOf(family: Family): "iptables" | "ip6tables" {
  return family === 4 ? "iptables" : "ip6tables";
}

/** Tables of these names, in a family of their own, are iptables-nft's. */
const IPTABLES = new Set(["raw", "mangle", "nat", "filter", "security"]);

function isOfIptables({ family, table }: ListedChain): boolean {
  return (family === "ip" || family === "ip6") && IPTABLES.has(table);
}

/** Whether a packet of ours may meet a base chain of somebody else, and something there. */
function mayBeMet(chain: ListedChain): boolean {
  const { family, table, hook, type, priority } = chain;
  if (!["ip", "ip6", "inet"].includes(family) || PASSED_OVER.has(table)) return false;
  if (hook === undefined || type === undefined || priority === undefined) return false;
  // iptables-nft rewrites at -100 and after.
  if (isOfIptables(chain) && type === "nat") return false;
  return mayMatter({ hook, type, priority }) || (type === "filter" && hook === "output");
}

function translates({ family, table, type }: ListedChain): boolean {
  return ["ip", "ip6", "inet"].includes(family) && type === "nat" && !PASSED_OVER.has(table);
}

/** As `nft -j list chains` prints it; a base chain has the rest as well. */
interface ListedChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly type?: string;
  readonly hook?: string;
  readonly priority?: number;
}

/** @param text what `nft -j list chains` prints */
function chainsIn(text: string): readonly ListedChain[] {
  const listing: unknown = JSON.parse(text);
  if (!isRecord(listing) || !Array.isArray(listing["nftables"])) return [];
  return listing["nftables"].flatMap((entry: unknown): ListedChain[] => {
    const chain = isRecord(entry) ? entry["chain"] : undefined;
    if (!isRecord(chain)) return [];
    const { family, table, name, type, hook, prio: priority } = chain;
    if (typeof family !== "string" || typeof table !== "string" || typeof name !== "string") return [];
    const isBase = typeof type === "string" && typeof hook === "string" && typeof priority === "number";
    return [{ family, table, name, ...(isBase ? { type, hook, priority } : {}) }];
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
