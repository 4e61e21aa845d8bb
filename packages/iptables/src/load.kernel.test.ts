import { FEATURES, NODE_SETTINGS, readFlowFile } from "@svcproxy/host/testing";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { parseSave } from "@svcproxy/rules";
import { type Family, parseTopology, planHost, type Topology } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { compileRules, compileScript } from "./compile-rules.ts";
import { fullRuleSet } from "./desired-rules.ts";
import type { Dialect } from "./dialect.ts";
import { formatRestoreScript, formatShellScript } from "./script/format-script.ts";

const reason = whyNoKernelTests(["ip", "iptables", "ip6tables", "iptables-nft", "iptables-legacy"]);

/** A topology file as a spiteful user writes it. */
const HOSTILE = parseTopology(
  Buffer.from(
    JSON.stringify({
      hosts: [
        {
          name: "edge",
          address: "192.0.2.10",
          podCIDR: "10.20.0.0/24",
          pods: [
            { name: "a' -j ACCEPT '", address: "10.20.0.2:80" },
            { name: '$(touch owned)`id`";\\', address: "10.20.0.3:80" },
            { name: "größe→★ ! -s 0.0.0.0/0".repeat(20), address: "10.20.0.4:80" },
          ],
        },
      ],
      services: ["-j ACCEPT", "a\" ' \\ ; | & $x", "%s#größe→★".repeat(40)].map((name, index) => ({
        name,
        clusterIP: `10.96.0.${index + 1}`,
        sessionAffinity: "ClientIP",
        ports: [{ port: 80, nodePort: 30080 + index }],
        endpoints: ["a' -j ACCEPT '", '$(touch owned)`id`";\\', "größe→★ ! -s 0.0.0.0/0".repeat(20)],
      })),
    }),
  ),
  { file: "hostile" },
).topology;

interface Case {
  readonly name: string;
  readonly topology: Topology;
  readonly host: string;
  readonly dialect: Dialect;
  readonly family: Family;
}

const CASES: readonly Case[] = (["document", "kubernetes"] as const).flatMap((dialect) => [
  { name: "every feature", topology: readFlowFile(FEATURES), host: "edge", dialect, family: 4 },
  { name: "every feature", topology: readFlowFile(FEATURES), host: "edge", dialect, family: 6 },
  { name: "the settings of the data path", topology: readFlowFile(NODE_SETTINGS), host: "edge", dialect, family: 4 },
  { name: "hostile names", topology: HOSTILE, host: "edge", dialect, family: 4 },
]);

/** The rules of a namespace as values: empty tables and counters aside. */
async function rulesIn(namespace: NetworkNamespace, command: string, family: Family) {
  const { stdout } = await namespace.run(`${command}-save`, []);
  const { tables } = parseSave(stdout, { family });
  return tables
    .filter(({ chains }) => chains.some(({ rules, policy }) => rules.length > 0 || policy === undefined))
    .map(({ name, chains }) => ({
      name,
      chains: new Map(chains.map((chain) => [chain.name, chain.rules.length])),
      rules: chains
        .flatMap((chain) => chain.rules.map((rule) => JSON.stringify([chain.name, rule.matches, rule.target])))
        .sort(),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

describe.skipIf(reason !== undefined)(`a kernel takes the rules${reason === undefined ? "" : ` (${reason})`}`, () => {
  test.concurrent.for(CASES)("$name, $dialect dialect, IPv$family", { timeout: 300_000 }, async (each) => {
    const { topology, host, dialect, family } = each;
    const plan = planHost(topology, { host });
    const script = compileScript(plan, { dialect, family, dispatch: "tree" });
    const tables = family === 4 ? "iptables" : "ip6tables";
    await using byShell = await createNetworkNamespace();
    await byShell.run("sh", ["-e"], { input: [...formatShellScript(script)].join("") });
    const fromShell = await rulesIn(byShell, tables, family);

    await using byRestore = await createNetworkNamespace();
    await byRestore.run(`${tables}-restore`, ["--noflush"], { input: [...formatRestoreScript(script)].join("") });
    expect(await rulesIn(byRestore, tables, family)).toEqual(fromShell);

    await using legacy = await createNetworkNamespace();
    await legacy.run(`${tables}-legacy-restore`, ["--noflush"], { input: [...formatRestoreScript(script)].join("") });
    const wanted = fullRuleSet(compileRules(plan, { dialect, family, dispatch: "tree" }));
    for (const namespace of [
      { found: fromShell, variant: "nft" },
      { found: await rulesIn(legacy, `${tables}-legacy`, family), variant: "legacy" },
    ]) {
      const counts = namespace.found.map(({ name, chains }) => [
        name,
        Object.fromEntries([...chains].filter(([, rules]) => rules > 0).sort()),
      ]);
      const wantedCounts = wanted.tables
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
        .map(({ name, chains }) => [
          name,
          Object.fromEntries(
            chains
              .filter(({ rules }) => rules.length > 0)
              .map((chain) => [chain.name, chain.rules.length] as const)
              .sort(),
          ),
        ]);
      expect(counts, namespace.variant).toEqual(wantedCounts);
    }
  });
});
