import type { NftStatement } from "../nft-rule-set.ts";
import { formatWord, NftFault, type NftWords } from "./nft-words.ts";
import { readConcat, readExpression, type TableWords } from "./read-expression.ts";
import { readDuration } from "./read-value.ts";

/** `update @set { key [timeout 10m] [counter | limit …] [: data] }`. @throws NftFault */
export function readUpdate(words: NftWords, table: TableWords, operation: "add" | "update" | "delete"): NftStatement {
  words.next();
  const name = words.next();
  if (!name.startsWith("@")) throw new NftFault(`${formatWord(name)} is not a set`);
  const set = name.slice(1);
  words.expect("{");
  const known = table.setOf(set);
  const key = readConcat(words, table, known?.keyTypes ?? []);
  let timeoutMs: number | undefined;
  let gate: string | undefined;
  for (;;) {
    if (words.skip("timeout")) timeoutMs = readTimeout(words);
    else if (words.skip("expires") || words.skip("comment")) words.next();
    else if (words.peek === "counter" || words.peek === "last") skipCounter(words);
    else if (["limit", "ct", "quota"].includes(words.peek)) gate = readGate(words);
    else break;
  }
  const data = words.skip(":") ? readExpression(words, table, known?.dataTypes ?? []) : undefined;
  words.expect("}");
  return {
    kind: "update",
    operation,
    set,
    key,
    ...(data === undefined ? {} : { data }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(gate === undefined ? {} : { gate }),
  };
}

function readTimeout(words: NftWords): number {
  const word = words.next();
  const duration = readDuration(word);
  if (duration === undefined) throw new NftFault(`${formatWord(word)} is not a time`);
  return duration;
}

function skipCounter(words: NftWords): void {
  words.next();
  if (!words.skip("packets")) return;
  words.next();
  words.expect("bytes");
  words.next();
}

function readGate(words: NftWords): string {
  const start = words.start;
  let end = start;
  while (![":", "}", "\n", "", "timeout", "counter", "comment"].includes(words.peek)) {
    words.next();
    end = words.end;
  }
  return words.slice(start, end);
}
