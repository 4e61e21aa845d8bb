import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { thisMachine } from "../machine/machine.ts";
import { runTool } from "../tools/run-tool.ts";
import { readLiveRules } from "./read-live-rules.ts";

const reason = whyNoKernelTests([
  ...["ip", "unshare", "nsenter", "nft", "iptables-nft-save", "iptables-legacy-save"],
  ...["iptables-nft-restore", "iptables-legacy-restore"],
]);

/** This machine, as a process in the namespace sees it. */
function machineIn({ pid }: NetworkNamespace, without: readonly string[] = []) {
  return {
    ...thisMachine,
    hasTool: (tool: string) => !without.includes(tool) && thisMachine.hasTool(tool),
    run: ((tool, args, options) =>
      runTool("nsenter", [`--net=/proc/${pid}/ns/net`, tool, ...args], options)) satisfies typeof runTool,
  };
}

const { signal } = new AbortController();
const FILTER = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -d 10.0.0.1/32 -j DROP\nCOMMIT\n";

describe.skipIf(reason !== undefined)(`live rules${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("are those of both variants of iptables and of nftables, each once", async () => {
    await using namespace = await createNetworkNamespace();
    await namespace.run("iptables-nft-restore", [], { input: FILTER });
    await namespace.run("iptables-legacy-restore", [], { input: FILTER });
    await namespace.run("nft", ["-f", "-"], {
      input:
        "table inet own {\n chain c {\n type filter hook input priority 5; policy accept;\n tcp dport 1 drop\n }\n}\n",
    });
    const given = await readLiveRules(machineIn(namespace), { signal });
    const { iptables, nft, unread } = given.rules(4);
    expect(
      iptables.map(({ variant, rules }) => [
        variant,
        rules.tables.flatMap(({ chains }) => chains.flatMap(({ rules: own }) => own)).length,
      ]),
    ).toEqual([
      ["nft", 1],
      ["legacy", 1],
    ]);
    expect(nft.tables.map(({ family, name }) => `${family} ${name}`)).toEqual(["inet own"]);
    expect(unread).toEqual([]);
    expect(given.rules(6).nft.tables).toHaveLength(1);
  });

  test("are looked at without changing anything", async () => {
    await using namespace = await createNetworkNamespace();
    const seen = async () => {
      const nft = await namespace.run("nft", ["list", "ruleset"]);
      const legacy = await namespace.run("cat", ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"]);
      return nft.stdout + legacy.stdout;
    };
    const before = await seen();
    const given = await readLiveRules(machineIn(namespace), { signal });
    expect(given.rules(4).iptables.every(({ rules }) => rules.tables.length === 0)).toBe(true);
    expect(await seen()).toBe(before);
    expect(before).toBe("");
  });

  test("that nobody can read are told", async () => {
    await using namespace = await createNetworkNamespace();
    const given = await readLiveRules(machineIn(namespace, ["nft", "iptables-legacy-save"]), {
      signal,
      readLegacyTables: async (family) => (family === 4 ? ["nat"] : []),
    });
    expect(given.rules(4).unread.map(({ table }) => table)).toEqual(["nat", "nftables"]);
    expect(given.rules(6).unread.map(({ table }) => table)).toEqual(["nftables"]);
  });
});
