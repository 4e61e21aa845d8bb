import { NFT_HOOKS, type NftBase, type NftChain, type NftFamily, type NftRule } from "../nft-rule-set.ts";
import { formatWord, NftFault, type NftWords, quoted } from "./nft-words.ts";
import type { TableWords } from "./read-expression.ts";
import { readRule } from "./read-rule.ts";

/** Reads `chain name { … }` from its name on. @throws NftFault where its head cannot be read */
export function readChain(words: NftWords, table: TableWords): NftChain {
  const name = words.next();
  words.expect("{");
  let base: NftBase | undefined;
  const rules: NftRule[] = [];
  for (;;) {
    while (words.skip("\n") || words.skip(";"));
    if (words.skip("}")) break;
    switch (words.peek) {
      case "":
        throw new NftFault(`chain ${name} has no end`);
      case "type":
        base = readBase(words, table.family);
        break;
      case "policy":
        words.next();
        base = withPolicy(base, words.next());
        break;
      case "comment":
        words.skipLine();
        break;
      default:
        rules.push(readRule(words, table));
    }
  }
  return { name, ...(base === undefined ? {} : { base }), rules };
}

function readBase(words: NftWords, family: NftFamily): NftBase {
  words.next();
  const type = words.next();
  if (type !== "filter" && type !== "nat" && type !== "route")
    throw new NftFault(`${formatWord(type)} is not a type of chain`);
  words.expect("hook");
  const hook = NFT_HOOKS.find((one) => one === words.peek);
  if (hook === undefined) throw new NftFault(`${formatWord(words.peek)} is not a hook`);
  words.next();
  const devices = readDevices(words);
  words.expect("priority");
  const priority = readPriority(words, family);
  return { type, hook, priority, policy: "accept", ...(devices.length === 0 ? {} : { devices }) };
}

function readDevices(words: NftWords): readonly string[] {
  if (words.skip("device")) return [nameOf(words.next())];
  if (!words.skip("devices")) return [];
  words.expect("=");
  words.expect("{");
  const devices: string[] = [];
  while (!words.skip("}")) {
    devices.push(nameOf(words.next()));
    words.skip(",");
    words.skipNewlines();
  }
  return devices;
}

function nameOf(word: string): string {
  return quoted(word) ?? word;
}

const PRIORITIES: Readonly<Record<string, number>> = {
  ...{ raw: -300, mangle: -150, dstnat: -100, filter: 0, security: 50, srcnat: 100 },
};
const BRIDGE_PRIORITIES: Readonly<Record<string, number>> = { dstnat: -300, filter: -200, out: 100, srcnat: 300 };

/** `-105`, `filter`, `dstnat - 5`. */
function readPriority(words: NftWords, family: NftFamily): number {
  const word = words.next();
  if (/^-?\d+$/.test(word)) return Number(word);
  const named = (family === "bridge" ? BRIDGE_PRIORITIES : PRIORITIES)[word];
  if (named === undefined) throw new NftFault(`${formatWord(word)} is not a priority`);
  if (words.skip("+")) return named + Number(words.next());
  return words.skip("-") ? named - Number(words.next()) : named;
}

function withPolicy(base: NftBase | undefined, policy: string): NftBase {
  if (base === undefined || (policy !== "accept" && policy !== "drop"))
    throw new NftFault(`${formatWord(policy)} is not a policy of a base chain`);
  return { ...base, policy };
}
