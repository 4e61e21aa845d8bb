import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, test, vi } from "vitest";
import { runCli } from "../testing/cli-in-namespace.ts";
import { saveRules, topologyText } from "../testing/host-with-rules.ts";

const EXAMPLE = fileURLToPath(new URL("../../../../examples/cloudos.yaml", import.meta.url));

const reason = whyNoKernelTests([
  "ip",
  "iptables-nft",
  "iptables-legacy",
  "ip6tables-nft",
  "nft",
  "setpriv",
  "unshare",
]);

describe.skipIf(reason !== undefined)(
  `svcproxy iptables on hosts of many kinds${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 300_000 },
  () => {
    let folder = "";
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "svcproxy-hosts-"));
      // iptables-legacy's own lock is one for the whole machine, whatever the namespace.
      vi.stubEnv("XTABLES_LOCKFILE", join(folder, "xtables.lock"));
    });
    afterAll(async () => {
      vi.unstubAllEnvs();
      await rm(folder, { recursive: true });
    });

    test("the variant is the one where rules live, and the log says why", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await namespace.run("iptables-legacy", ["-w", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"]);
      const first = await runCli(namespace, ["iptables", "apply", EXAMPLE, "--host", "cloudos1", "--foreign-host"]);
      expect(first.stderr).toMatch(/using iptables-legacy: most rules live there/);
      await namespace.run("iptables-nft", ["-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"]);
      const second = await runCli(namespace, ["iptables", "diff", EXAMPLE, "--host", "cloudos1", "--foreign-host"]);
      expect(second).toMatchObject({
        exitCode: 0,
        stderr: expect.stringMatching(/our rules already live there.*\n.*iptables-nft holds 1 rules too/),
      });
    });

    test("--family leaves the other family alone", async ({ expect }) => {
      const input = { input: topologyText() };
      await using namespace = await createNetworkNamespace();
      expect(
        await runCli(namespace, ["iptables", "apply", "-", "--host", "one", "--foreign-host", "--family", "6"], input),
      ).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/nat \(IPv6\)\n$/),
      });
      expect(
        await runCli(namespace, ["iptables", "diff", "-", "--host", "one", "--foreign-host", "--family", "6"], input),
      ).toMatchObject({
        exitCode: 0,
      });
      expect(
        await runCli(namespace, ["iptables", "diff", "-", "--host", "one", "--foreign-host"], input),
      ).toMatchObject({ exitCode: 3 });
    });

    test("a block of nodePortAddresses holds for an address that only the machine knows", async ({ expect }) => {
      const input = { input: `${topologyText()}\nnode: { nodePortAddresses: [198.51.100.0/24] }\n` };
      await using namespace = await createNetworkNamespace();
      await namespace.run("ip", ["link", "add", "lan0", "type", "bridge"]);
      await namespace.run("ip", ["address", "add", "192.0.2.6/24", "dev", "lan0"]);
      await namespace.run("ip", ["address", "add", "198.51.100.7/24", "dev", "lan0"]);
      await namespace.run("ip", ["link", "set", "lan0", "up"]);
      const onThis = ["-", "--host", "one", "--dialect", "kubernetes"];
      expect(await runCli(namespace, ["iptables", "apply", ...onThis], input)).toMatchObject({ exitCode: 0 });
      expect(await saveRules(namespace, "nft")).toMatch(
        /^-A KUBE-SERVICES -d 198\.51\.100\.7\/32 .*-j KUBE-NODEPORTS$/m,
      );
      expect(await runCli(namespace, ["iptables", "diff", ...onThis], input)).toMatchObject({ exitCode: 0 });
      const to = ["--from", "192.0.2.99", "--to", "198.51.100.7:30080", "--live", "--json"];
      const { stdout } = await runCli(namespace, ["trace", ...onThis, ...to], input);
      expect(stdout).toContain("destination 198.51.100.7:30080 becomes 10.5.75.2:3000");
    });

    test("a table of native nftables rules is named, and nothing changes; beside the plan it does not matter", async ({
      expect,
    }) => {
      await using namespace = await createNetworkNamespace();
      const native = (table: string) =>
        `add table ip ${table}\nadd chain ip ${table} OUTPUT { type ${table} hook output priority ${table === "nat" ? -100 : 0}; }\nadd rule ip ${table} OUTPUT meta mark set numgen random mod 3\n`;
      await namespace.run("nft", ["-f", "-"], { input: native("filter") });
      const apply = ["iptables", "apply", EXAMPLE, "--host", "cloudos1", "--foreign-host", "--variant", "nft"];
      expect(await runCli(namespace, apply)).toMatchObject({ exitCode: 0 });
      await runCli(namespace, ["iptables", "cleanup"]);
      await namespace.run("nft", ["-f", "-"], { input: `delete table ip nat\n${native("nat")}` });
      const before = await namespace.run("nft", ["list", "ruleset"]);
      expect(await runCli(namespace, apply)).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining("[TABLE_INCOMPATIBLE]"),
      });
      expect(await namespace.run("nft", ["list", "ruleset"])).toEqual(before);
    });

    test("cleanup finds ours in both variants", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      for (const variant of ["nft", "legacy"])
        await runCli(namespace, [
          "iptables",
          "apply",
          EXAMPLE,
          "--host",
          "cloudos1",
          "--foreign-host",
          "--variant",
          variant,
        ]);
      expect(await runCli(namespace, ["iptables", "cleanup"])).toMatchObject({ exitCode: 0 });
      expect((await saveRules(namespace, "nft")) + (await saveRules(namespace, "legacy"))).toBe("");
    });

    test("--dry-run prints input for iptables-restore that does what apply does", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await using other = await createNetworkNamespace();
      const { stdout } = await runCli(namespace, [
        "iptables",
        "apply",
        EXAMPLE,
        "--host",
        "cloudos1",
        "--foreign-host",
        "--dry-run",
        "--variant",
        "nft",
      ]);
      expect(await saveRules(namespace, "nft")).toBe("");
      await namespace.run("iptables-nft-restore", ["--noflush"], { input: stdout });
      await runCli(other, ["iptables", "apply", EXAMPLE, "--host", "cloudos1", "--foreign-host", "--variant", "nft"]);
      expect(await saveRules(namespace, "nft")).toBe(await saveRules(other, "nft"));
    });

    test("a real kube-proxy's chains are refused by name, and adopted when asked", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await namespace.run("sh", ["-e"], {
        input:
          "iptables-nft -t nat -N KUBE-SERVICES\niptables-nft -t nat -N KUBE-SVC-TCOU7JCQXEZGVUNU\niptables-nft -t nat -A KUBE-SERVICES -j KUBE-SVC-TCOU7JCQXEZGVUNU\n",
      });
      const before = await saveRules(namespace, "nft");
      const apply = ["iptables", "apply", EXAMPLE, "--host", "cloudos1", "--foreign-host"];
      expect(await runCli(namespace, apply)).toMatchObject({
        exitCode: 1,
        stderr: expect.stringMatching(/KUBE-SVC-TCOU7JCQXEZGVUNU.*--adopt/s),
      });
      expect(await saveRules(namespace, "nft")).toBe(before);
      expect(await runCli(namespace, [...apply, "--adopt"])).toMatchObject({ exitCode: 0 });
      expect(
        await runCli(namespace, ["iptables", "diff", EXAMPLE, "--host", "cloudos1", "--foreign-host"]),
      ).toMatchObject({
        exitCode: 0,
      });
    });

    test("diff --json tells what differs", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await runCli(namespace, ["iptables", "apply", EXAMPLE, "--host", "cloudos1", "--foreign-host"]);
      await namespace.run("iptables", ["-t", "nat", "-D", "OUTPUT", "-j", "KUBE-SERVICES"]);
      const { exitCode, stdout } = await runCli(namespace, [
        "iptables",
        "diff",
        EXAMPLE,
        "--host",
        "cloudos1",
        "--foreign-host",
        "--json",
      ]);
      expect(exitCode).toBe(3);
      expect(JSON.parse(stdout)).toEqual({
        equal: false,
        variant: "nft",
        differences: [
          { family: 4, table: "nat", chain: "OUTPUT", kind: "missing-rule", plannedRule: "-A OUTPUT -j KUBE-SERVICES" },
        ],
      });
    });

    test("a bridge that bypasses netfilter is a warning with the sysctl that mends it", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await namespace.run("sh", ["-e"], {
        input:
          "ip link add br7 type bridge\nif [ -e /proc/sys/net/bridge ]; then echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables; fi\n",
      });
      const result = await runCli(namespace, ["iptables", "apply", EXAMPLE, "--host", "cloudos1", "--foreign-host"]);
      expect(result).toMatchObject({
        exitCode: 0,
        stderr: expect.stringMatching(/Bridge br7 .*net\.bridge\.bridge-nf-call-iptables=1/),
      });
    });

    // The words of iptables 1.8.9 where the kernel knows no table, or no type of chain, of this name.
    test.for([
      {
        variant: "legacy",
        said: "iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'nat'\\n\\nError occurred at line: 1\\n",
      },
      {
        variant: "nft",
        said: "iptables-nft-restore v1.8.9 (nf_tables): \\nline 3: CHAIN_ADD failed (No such file or directory): chain OUTPUT\\n",
      },
    ])(
      "a kernel without the nat table, with iptables-$variant: one clear sentence, exit 1, and the filter table as it was",
      async ({ variant, said }, { expect }) => {
        await using namespace = await createNetworkNamespace();
        const bin = await mkdtemp(join(folder, "bin-"));
        const path = process.env["PATH"] ?? "";
        const tool = `iptables-${variant}-restore`;
        const script = `#!/bin/sh\ninput=$(cat)\ncase "$input" in '*nat'*) printf '${said.replaceAll("'", "'\\''")}' >&2; exit 2 ;; esac\nprintf '%s\\n' "$input" | PATH='${path}' exec ${tool} "$@"\n`;
        await writeFile(join(bin, tool), script, { mode: 0o755 });
        const result = await runCli(
          namespace,
          ["iptables", "apply", "-", "--host", "one", "--foreign-host", "--variant", variant],
          {
            ...{ env: { PATH: `${bin}:${path}` }, input: topologyText({ udp: [] }) },
          },
        );
        const sentences = result.stderr.split("\n").filter((line) => line.startsWith("svcproxy: "));
        expect(sentences).toEqual([
          expect.stringMatching(
            /^svcproxy: Cannot change table nat \(IPv4\): this kernel does not have the table; the host has its old rules.* \[NO_TABLE\]$/,
          ),
        ]);
        expect(result).toMatchObject({ exitCode: 1, stdout: "" });
        expect(await saveRules(namespace, variant)).toBe("");
      },
    );

    test.for([
      {
        name: "no root",
        below: ["setpriv", "--reuid", "65534", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"],
        path: process.env["PATH"] ?? "",
        said: /needs root.*\[NEEDS_ROOT\]/,
      },
      {
        name: "no iptables on the machine",
        below: [],
        path: "/nowhere",
        said: /Cannot find iptables on this machine \[MISSING_TOOL\]/,
      },
      {
        name: "a read-only /run, with iptables-legacy",
        below: ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /run && exec "$@"', "sh"],
        path: process.env["PATH"] ?? "",
        said: /read-only.*the host has its old rules.*\[LOCK_FILE_READ_ONLY\]/,
      },
    ])("$name: one clear sentence, exit 1", async ({ below, path, said }, { expect }) => {
      await using namespace = await createNetworkNamespace();

      const wrapped = ["env", "-u", "XTABLES_LOCKFILE", ...below, "env", `PATH=${path}`];
      const result = await runCli(
        namespace,
        [
          "iptables",
          "apply",
          "-",
          "--host",
          "one",
          "--foreign-host",
          ...(path === "/nowhere" ? [] : ["--variant", "legacy"]),
        ],
        { below: wrapped, input: topologyText() },
      );
      expect(result).toMatchObject({ exitCode: 1, stdout: "" });
      const sentences = result.stderr.split("\n").filter((line) => line.startsWith("svcproxy: "));
      expect(sentences).toEqual([expect.stringMatching(said)]);
    });
  },
);
