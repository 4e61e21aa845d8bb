import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import type { Readable } from "node:stream";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test, vi } from "vitest";
import { type RuleWord, RuleWords } from "./rule-changes.ts";
import { RULE_CHANGES_TOOL, ruleChangesCommand } from "./rule-changes-command.ts";

const reason = whyNoKernelTests([...["ip", "unshare", "nsenter", "nft", "iptables-nft"], RULE_CHANGES_TOOL]);
const WAIT = { timeout: 60_000, interval: 20 };

describe.skipIf(reason !== undefined)(`rule changes${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("are told as nft monitor tells them, with who made them", async () => {
    await using namespace = await createNetworkNamespace();
    await using changes = listen(namespace, ruleChangesCommand());
    await using monitor = listen(namespace, ["nft", "monitor"]);
    await vi.waitFor(() => expect(changes.words()).toEqual(["listening"]), WAIT);
    // `nft monitor` does not say that it listens.
    await vi.waitFor(async () => {
      await namespace.run("nft", ["add", "table", "ip", "probe"]);
      await namespace.run("nft", ["delete", "table", "ip", "probe"]);
      expect(monitor.text()).toContain("delete table ip probe");
    }, WAIT);
    const marks = { changes: changes.words().length, monitor: monitor.text().length };
    for (const command of CHANGES) {
      const [tool = "", ...args] = command;
      await namespace.run(tool, args);
    }
    await vi.waitFor(() => {
      expect(changes.words().at(-1)).toMatch(/^commit/);
      expect(changes.words()).toContain("delete table ip last");
      expect(monitor.text().split("delete table ip last")[1]).toContain("# new generation");
    }, WAIT);
    const told = monitor.text().slice(marks.monitor).split("\n").map(beginning);
    const words = changes.words().slice(marks.changes);
    expect(words.map(beginning).filter(isTableWork)).toEqual(told.filter(isTableWork));
    expect(words.filter((word) => word.startsWith("commit")).map(writerOf)).toEqual(
      told.filter((line) => line.startsWith("#")).map(writerOf),
    );
    expect(words).toContainEqual(expect.stringMatching(/^delete rule ip nat PREROUTING .*\bKUBE-SERVICES /));
    expect(words).toContainEqual(expect.stringMatching(/^add rule ip6 nat KUBE-SERVICES .*\bto svcproxy /));
  });

  test("of what it could not read in time it says that it is lost, and goes on", async () => {
    await using namespace = await createNetworkNamespace();
    await using changes = listen(namespace, ruleChangesCommand({ bufferBytes: 4096 }));
    await vi.waitFor(() => expect(changes.words()).toEqual(["listening"]), WAIT);
    changes.child.kill("SIGSTOP");
    const chains = Array.from({ length: 2_000 }, (_, at) => `add chain ip t c${at}`);
    await namespace.run("nft", ["-f", "-"], { input: `add table ip t\n${chains.join("\n")}\n` });
    changes.child.kill("SIGCONT");
    await vi.waitFor(() => expect(changes.words()).toContain("lost"), WAIT);
    await namespace.run("nft", ["add", "table", "ip", "last"]);
    await vi.waitFor(() => {
      expect(changes.words()).toContain("add table ip last");
      expect(changes.words().at(-1)).toMatch(/^commit .*"nft"/);
    }, WAIT);
  });
});

const RULE = ["-A", "KUBE-SERVICES", "-d", "fd00::1", "-m", "comment", "--comment", "to svcproxy", "-j", "RETURN"];
const CHANGES: readonly (readonly string[])[] = [
  ["iptables-nft", "-t", "nat", "-N", "KUBE-SERVICES"],
  ["iptables-nft", "-t", "nat", "-A", "PREROUTING", "-j", "KUBE-SERVICES"],
  ["iptables-nft", "-t", "nat", "-F", "PREROUTING"],
  ["ip6tables-nft", "-t", "nat", "-N", "KUBE-SERVICES"],
  ["ip6tables-nft", "-t", "nat", ...RULE],
  ["nft", "add table inet filter"],
  ["nft", "add chain inet filter input { type filter hook input priority 5; policy accept; }"],
  ["nft", "add rule inet filter input meta mark set numgen random mod 3"],
  ["nft", "add set inet filter banned { type ipv4_addr; }"],
  ["nft", "add element inet filter banned { 192.0.2.1, 192.0.2.2 }"],
  ["nft", "delete element inet filter banned { 192.0.2.1 }"],
  ["nft", "delete table inet filter"],
  ["nft", "flush ruleset"],
  ["nft", "add table ip last; delete table ip last"],
];

/** The verb, what it is about, and its names. What must not be there yet nft says to create, not to add. */
function beginning(line: string): string {
  return line.startsWith("#")
    ? line
    : line
        .split(" ")
        .slice(0, 5)
        .join(" ")
        .replace(/ \{.*/, "")
        .replace(/^create /, "add ");
}

function isTableWork(line: string): boolean {
  return /^(?:add|delete) (?:table|chain|rule|set|element) /.test(line);
}

function writerOf(text: string): readonly (string | undefined)[] {
  const [, pid, program] = /"pid":(\d+),"program":"(.*)"/.exec(text) ?? /process (\d+) \((.*)\)/.exec(text) ?? [];
  return [pid, program];
}

interface Listener extends AsyncDisposable {
  readonly child: ChildProcessByStdio<null, Readable, null>;
  readonly text: () => string;
  /** Where it prints netlink's messages. */
  readonly words: () => readonly string[];
}

function listen({ pid }: NetworkNamespace, command: readonly string[]): Listener {
  const child = spawn("nsenter", [`--net=/proc/${pid}/ns/net`, ...command], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, LC_ALL: "C" },
  });
  const parts: Buffer[] = [];
  child.stdout.on("data", (part: Buffer) => parts.push(part));
  const closed = once(child, "close");
  return {
    child,
    text: () => Buffer.concat(parts).toString("utf8"),
    words: () => [...new RuleWords().read(Buffer.concat(parts))].map(shown),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await closed;
    },
  };
}

function shown(word: RuleWord): string {
  if (word.kind === "change") return word.describe();
  return word.kind === "commit" ? `commit ${JSON.stringify(word.writer)}` : word.kind;
}
