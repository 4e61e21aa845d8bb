import { parseNftJson } from "./json/parse-nft-json.ts";
import type { NftRuleSet } from "./nft-rule-set.ts";
import { type ParseNftOptions, parseNftText } from "./text/parse-nft-text.ts";

/** Reads what `nft list ruleset` prints, as text or, with `-j`, as JSON. @throws InputError NFT_SYNTAX */
export function parseNft(text: string, options: ParseNftOptions = {}): NftRuleSet {
  return /^\s*\{/.test(text) ? parseNftJson(text, options) : parseNftText(text, options);
}

/** Whether a text is nft's: a listing as text or JSON, or a file for `nft -f`. */
export function isNftText(text: string): boolean {
  if (/^\s*\{\s*"nftables"/.test(text)) return true;
  return /^(?:\s|#[^\n]*\n)*(?:add\s+|delete\s+)?(?:table|flush\s+ruleset|element)\b/.test(text);
}
