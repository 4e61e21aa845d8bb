import type { NetworkNamespace } from "@svcproxy/lab";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import type { Family } from "@svcproxy/topology";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ruleKey } from "../compare/rule-key.ts";
import type { Rule, RuleSet } from "../rule-set.ts";
import { formatRestore, formatSave } from "../rule-sets/format-restore.ts";
import { parseSave } from "../rule-sets/parse-save.ts";
import { hostileText } from "../testing/arbitrary-text.ts";
import { corpusTable, readCorpus } from "../testing/corpus.ts";
import { formatCommands } from "./format-commands.ts";
import { storableComment } from "./format-style.ts";
import type { Command } from "./parse-command.ts";

const VARIANTS = (["nft", "legacy"] as const).flatMap((variant) =>
  ([4, 6] as const).map((family) => ({
    variant,
    family,
    tool: `${family === 4 ? "iptables" : "ip6tables"}-${variant}`,
  })),
);
const TABLES = ["raw", "mangle", "nat", "filter"];

const reason = whyNoKernelTests(["ip", "nsenter", "ipset", "nfacct", ...VARIANTS.map(({ tool }) => tool)]);

/** A namespace in which the corpus can be loaded. */
async function namespaceWithSets(): Promise<NetworkNamespace> {
  const namespace = await createNetworkNamespace();
  await namespace.run("ipset", ["create", "hosts", "hash:ip"]);
  await namespace.run("nfacct", ["add", "hits"]);
  await namespace.run("ipset", ["create", "hosts6", "hash:ip", "family", "inet6"]);
  return namespace;
}

async function save(namespace: NetworkNamespace, tool: string, table: string): Promise<string> {
  const { stdout } = await namespace.run(`${tool}-save`, ["-t", table]);
  return stdout
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n");
}

/** Without the counters of chains: packets come and go. */
function withoutCounters(text: string): string {
  return text.replace(/ \[\d+:\d+\]$/gm, "");
}

function rulesOf({ tables }: RuleSet): readonly Rule[] {
  return tables.flatMap(({ chains }) => chains.flatMap(({ rules }) => rules));
}

describe.skipIf(reason !== undefined).for(VARIANTS)(`$tool${reason === undefined ? "" : ` (${reason})`}`, (variant) => {
  const { tool, family } = variant;

  test.for(TABLES)("table %s: saved, read, printed and restored, it is saved the same", async (table) => {
    await using namespace = await namespaceWithSets();
    const rules = readCorpus(family).filter((rule) => rule.table === table);
    await namespace.run(`${tool}-restore`, [], {
      input: corpusTable(
        table,
        rules.map(({ written }) => written),
      ),
    });
    const before = await save(namespace, tool, table);
    expect(before.match(/^-A/gm)).toHaveLength(rules.length);
    const ruleSet = parseSave(before, { family });
    for (const text of [formatRestore(ruleSet.tables, { family }), formatSave(ruleSet)]) {
      await namespace.run(`${tool}-restore`, [], { input: `*${table}\nCOMMIT\n` });
      await namespace.run(`${tool}-restore`, [], { input: text });
      expect(withoutCounters(await save(namespace, tool, table))).toBe(withoutCounters(before));
    }
  });

  test("table by table, what people write has the key of what the kernel gives back", async () => {
    await using namespace = await namespaceWithSets();
    for (const table of TABLES) {
      const rules = readCorpus(family).filter((rule) => rule.table === table);
      const written = corpusTable(
        table,
        rules.map((rule) => rule.written),
      );
      await namespace.run(`${tool}-restore`, [], { input: written });
      const asWritten = rulesOf(parseSave(written, { family }));
      const asSaved = rulesOf(parseSave(await save(namespace, tool, table), { family }));
      for (const [index, rule] of asWritten.entries()) {
        const twin = asSaved[index];
        if (rule.target.kind === "unknown" || rule.matches.some(({ kind }) => kind === "unknown")) continue;
        expect(twin && ruleKey(twin, { withComments: true })).toBe(ruleKey(rule, { withComments: true }));
      }
    }
  });

  test("hostile comments reach the kernel as comments, by restore and by a shell's commands", async () => {
    await using namespace = await createNetworkNamespace();
    const texts = fc.sample(hostileText, 120);
    const rules = texts.map(dropWithComment);
    const chain = { name: "HOSTILE", rules };
    await namespace.run(`${tool}-restore`, [], {
      input: formatRestore([{ name: "filter", chains: [chain] }], { family }),
    });
    expect(await chainRules(namespace, variant)).toEqual(texts.map((text) => dropWithComment(storableComment(text))));

    const commands = rules
      .slice(0, 30)
      .map((rule): Command => ({ kind: "append", table: "filter", chain: "HOSTILE", rule }));
    const script = formatCommands([{ kind: "flush", table: "filter", chain: "HOSTILE" }, ...commands], { family });
    const input = script.replace(/^(iptables|ip6tables)(?= -t filter)/gm, tool);
    await namespace.run("sh", ["-n"], { input });
    await namespace.run("sh", ["-e"], { input });
    expect(await chainRules(namespace, variant)).toEqual(
      texts.slice(0, 30).map((text) => dropWithComment(storableComment(text))),
    );
  });
});

function dropWithComment(text: string): Rule {
  return { matches: [{ kind: "comment", text }], target: { kind: "drop" } };
}

async function chainRules(
  namespace: NetworkNamespace,
  { tool, family }: { tool: string; family: Family },
): Promise<readonly Rule[] | undefined> {
  const ruleSet = parseSave(await save(namespace, tool, "filter"), { family });
  return ruleSet.tables[0]?.chains.find(({ name }) => name === "HOSTILE")?.rules;
}
