import { withHiddenFamily } from "../hidden-family.ts";
import type { NftRule, NftStatement } from "../nft-rule-set.ts";
import { NftFault, type NftWords, quoted } from "./nft-words.ts";
import type { TableWords } from "./read-expression.ts";
import { readStatement } from "./read-statement.ts";

/** Reads the rule that begins here, up to the end of its line. What is not understood is kept as its last statement. */
export function readRule(words: NftWords, table: TableWords): NftRule {
  const start = words.start;
  const statements: NftStatement[] = [];
  let comment: string | undefined;
  let end = start;
  while (!words.isAtLineEnd) {
    const before = words.mark();
    try {
      if (words.skip("comment")) comment = quoted(words.next());
      else statements.push(readStatement(words, table));
    } catch (error) {
      if (!(error instanceof NftFault)) throw error;
      words.reset(before);
      words.skipLine();
      statements.push({ kind: "unread", text: words.slice(before, words.end), because: error.message });
    }
    end = words.end;
  }
  return {
    statements: withHiddenFamily(table.family, statements),
    text: words.slice(start, end),
    ...(comment === undefined ? {} : { comment }),
  };
}
