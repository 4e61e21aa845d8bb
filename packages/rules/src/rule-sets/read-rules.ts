import { type Family, inputError } from "@svcproxy/topology";
import { deviceChains } from "../hooks/device-chains.ts";
import type { HostRules, IptablesRules, UnreadRules } from "../hooks/host-rules.ts";
import { isIptablesTable } from "../nft/iptables-table.ts";
import type { NftChain, NftRuleSet, NftTable } from "../nft/nft-rule-set.ts";
import { isNftText, parseNft } from "../nft/parse-nft.ts";
import { BUILT_IN_CHAINS } from "../rule-set.ts";
import { parseSave } from "./parse-save.ts";
import { type SavedDump, splitDumps } from "./split-dumps.ts";

/** One text with rules, and what it is called in messages. */
export interface RuleText {
  readonly file: string;
  readonly text: string;
}

/** All rules that were given, whichever program printed them. */
export interface GivenRules {
  /** Those that the texts are about. */
  readonly families: readonly Family[];
  /** Programs whose rules a host may have besides, and of which nothing was given. */
  readonly missing: readonly ("iptables" | "nftables")[];
  rules(family: Family): HostRules;
}

/**
 * Takes texts of iptables-save, ip6tables-save and `nft list ruleset` (as text or JSON) together. Tables that iptables-nft
 * keeps show up in both, and count once. A table that nft gave twice is taken from its text, which leaves less out.
 *
 * @throws InputError NOT_SAVED_RULES, CONFLICTING_FLAGS, or for what cannot be read
 */
export function readRules(texts: readonly RuleText[]): GivenRules {
  const listings: NftRuleSet[] = [];
  const dumps: (SavedDump & { readonly file: string })[] = [];
  for (const { file, text } of texts) {
    if (isNftText(text)) listings.push(parseNft(text, { file }));
    else if (/^\*[a-z]/m.test(text)) dumps.push(...splitDumps(text).map((dump) => ({ ...dump, file })));
    else if (!isBlank(text)) throw notSaved(file);
  }
  const nft = mergeListings(listings);
  const known = new Map<Family, HostRules>();
  return {
    families: ([4, 6] as const).filter((family) => isAbout(family, { dumps, nft, isListed: listings.length > 0 })),
    missing: [
      ...(dumps.length === 0 ? (["iptables"] as const) : []),
      ...(listings.length === 0 ? (["nftables"] as const) : []),
    ],
    rules(family) {
      const rules = known.get(family) ?? rulesOf(family, { dumps, nft });
      known.set(family, rules);
      return rules;
    },
  };
}

function notSaved(file: string) {
  return inputError(
    "NOT_SAVED_RULES",
    `Cannot read ${JSON.stringify(file)}: it is not what iptables-save or nft prints`,
    { hint: "Save the rules on the host: sudo iptables-save > rules.txt, sudo nft list ruleset > rules.nft" },
  );
}

/** Nothing but comments: so says iptables-save of a host without rules, and the shell of one that may not ask. */
export function isBlank(text: string): boolean {
  return text.split("\n").every((line) => line.trim() === "" || line.startsWith("#"));
}

interface Given {
  readonly dumps: readonly (SavedDump & { readonly file: string })[];
  readonly nft: NftRuleSet;
}

function isAbout(family: Family, { dumps, nft, isListed }: Given & { readonly isListed: boolean }): boolean {
  if (dumps.some((dump) => dump.family === undefined || dump.family === family)) return true;
  if (!isListed) return false;
  const own = family === 4 ? "ip" : "ip6";
  const ofIp = nft.tables.filter((table) => ["ip", "ip6", "inet"].includes(table.family));
  return ofIp.length === 0 || ofIp.some((table) => table.family === own || table.family === "inet");
}

/** One table for each name, the one that was read from text where there are several. */
function mergeListings(listings: readonly NftRuleSet[]): NftRuleSet {
  const tables = new Map<string, NftTable>();
  // JSON names its version, text does not.
  for (const { tables: listed } of listings.toSorted(
    (a, b) => Number(a.version === undefined) - Number(b.version === undefined),
  ))
    for (const table of listed) tables.set(`${table.family} ${table.name}`, table);
  return { tables: [...tables.values()] };
}

function rulesOf(family: Family, { dumps, nft }: Given): HostRules {
  const iptables: IptablesRules[] = [];
  const unread: UnreadRules[] = [];
  const texts = new Map<string, IptablesRules["variant"]>();
  const header = family === 4 ? "ip" : "ip6";
  for (const { family: own, variant, text, file, incompatible } of dumps) {
    if (own !== undefined && own !== family) continue;
    const isTwice = (other: IptablesRules) => variant !== undefined && other.variant === variant;
    // Both variants may well hold the same rules; of a dump without a header the same text is the same dump.
    const isSameText = texts.has(text) && (variant === undefined || texts.get(text) === undefined);
    if (iptables.some(isTwice) || isSameText)
      throw inputError(
        "CONFLICTING_FLAGS",
        `Cannot take the rules of iptables-${variant ?? "save"} of IPv${family} twice`,
        {
          hint: "Give one dump of each variant: iptables-legacy-save, iptables-nft-save (ip6tables-… for IPv6)",
        },
      );
    texts.set(text, variant);
    iptables.push({ variant, rules: parseSave(text, { family, file }) });
    for (const table of incompatible) {
      if (nft.tables.some((listed) => listed.family === header && listed.name === table)) continue;
      unread.push({
        table,
        because: "iptables-nft finds rules of nftables in it and shows none (give what `nft list ruleset` prints)",
      });
    }
  }
  const other = family === 4 ? "ip6" : "ip";
  const tables = nft.tables.filter((table) => table.family !== other);
  const own = { tables: tables.flatMap((table) => withoutIptables(table, iptables)) };
  return { family, iptables, nft: own, unread: [...unread, ...deviceChains(own)] };
}

/** What is left of a table where iptables-nft keeps its rules in it: chains of nftables' own that hang beside. */
function withoutIptables(table: NftTable, iptables: readonly IptablesRules[]): readonly NftTable[] {
  const isGiven = iptables.some(
    ({ variant, rules }) =>
      variant !== "legacy" &&
      table.family === (rules.family === 4 ? "ip" : "ip6") &&
      rules.tables.some(({ name }) => name === table.name),
  );
  if (!isGiven || !isIptablesTable(table)) return [table];
  const builtIn = BUILT_IN_CHAINS[table.name] ?? [];
  const chains = table.chains.map((chain): NftChain => {
    const { base: _, ...rest } = chain;
    return builtIn.includes(chain.name) ? rest : chain;
  });
  return chains.some(({ base }) => base !== undefined) ? [{ ...table, chains }] : [];
}
