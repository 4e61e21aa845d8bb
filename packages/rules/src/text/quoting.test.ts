import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseCommands } from "../rule-sets/parse-commands.ts";
import { parseSave } from "../rule-sets/parse-save.ts";
import { hostileText } from "../testing/arbitrary-text.ts";
import { formatCommands } from "./format-commands.ts";
import { formatRule } from "./format-rule.ts";
import { storableComment } from "./format-style.ts";
import type { Command } from "./parse-command.ts";
import { quoteRestoreWord, splitRestoreLine } from "./restore-words.ts";
import { quoteShellWord, splitShellCommands } from "./shell-words.ts";

function appendWithComment(text: string): Command {
  const rule = { matches: [{ kind: "comment", text } as const], target: { kind: "drop" } as const };
  return { kind: "append", table: "filter", chain: "INPUT", rule };
}

test("a storable comment has no line break, at most 255 bytes, and is left alone a second time", () => {
  fc.assert(
    fc.property(hostileText, (text) => {
      const stored = storableComment(text);
      expect(stored).not.toMatch(/[\n\r\0]/);
      expect(Buffer.byteLength(stored)).toBeLessThanOrEqual(255);
      expect(stored.isWellFormed()).toBe(true);
      expect(storableComment(stored)).toBe(stored);
    }),
  );
});

test("what is quoted for iptables-restore is read back as one word", () => {
  fc.assert(
    fc.property(hostileText, hostileText, (first, second) => {
      const { words, isOpen } = splitRestoreLine(`-A ${quoteRestoreWord(first)} ${quoteRestoreWord(second)} -j`);
      expect({ words, isOpen }).toEqual({ words: ["-A", first, second, "-j"], isOpen: false });
    }),
  );
});

test("whatever a comment holds, the saved rule says the same", () => {
  fc.assert(
    fc.property(hostileText, (text) => {
      const rule = appendWithComment(text);
      if (rule.kind !== "append") return;
      const saved = formatRule(rule.rule, { style: "save", family: 4 });
      const table = parseSave(`*filter\n:INPUT ACCEPT\n-A INPUT ${saved}\nCOMMIT\n`).tables[0];
      expect(table?.chains).toEqual([{ name: "INPUT", policy: "ACCEPT", rules: [rule.rule] }]);
    }),
  );
});

test("a printed command with a hostile comment is read back as that command", () => {
  fc.assert(
    fc.property(fc.array(hostileText, { maxLength: 3 }), (texts) => {
      const commands = texts.map((text) => appendWithComment(storableComment(text)));
      expect(parseCommands(formatCommands(commands, { family: 4 }))).toEqual(commands);
    }),
  );
});

test("the real shell finds no fault in printed commands, and hands over exactly the words that were meant", () => {
  const texts = fc.sample(hostileText, 300).map(storableComment);
  const script = texts.map((text) => `printf '%s\\0' ${quoteShellWord(text)}`).join("\n");
  execFileSync("sh", ["-n"], { input: script });
  expect(execFileSync("sh", ["-e"], { input: script, encoding: "utf8" }).split("\0").slice(0, -1)).toEqual(texts);
});

test.for([
  ['a \'b c\' "d\\"e $" ', undefined],
  ['a \'b  c\' "d \\" \\\\ e" f\\ g # no', ["a", "b  c", 'd " \\ e', "f g"]],
  ["a \\\n  b", ["a", "b"]],
  ["a b#c ''", ["a", "b#c", ""]],
] as const)("the shell words of %j", ([text, words]) => {
  const faults: number[] = [];
  const commands = splitShellCommands(text, (line) => faults.push(line));
  if (words === undefined) expect(faults).toEqual([1]);
  else expect(commands.map((command) => command.words)).toEqual([words]);
});
