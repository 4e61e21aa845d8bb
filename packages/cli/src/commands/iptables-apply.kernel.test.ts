import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, test, vi } from "vitest";
import { runCli, startCli } from "../testing/cli-in-namespace.ts";
import { makeUdpFlow, saveRules, topologyText, udpClients } from "../testing/host-with-rules.ts";

const reason = whyNoKernelTests([
  "ip",
  "iptables-nft",
  "iptables-legacy",
  "ip6tables-nft",
  "ip6tables-legacy",
  "conntrack",
]);

describe.skipIf(reason !== undefined)(
  `svcproxy iptables apply, diff, cleanup${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 300_000 },
  () => {
    let folder = "";
    let dual = "";
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "svcproxy-apply-"));
      // iptables-legacy's own lock is one for the whole machine, whatever the namespace.
      vi.stubEnv("XTABLES_LOCKFILE", join(folder, "xtables.lock"));
      dual = join(folder, "dual.yaml");
      await writeFile(dual, topologyText());
    });
    afterAll(async () => {
      vi.unstubAllEnvs();
      await rm(folder, { recursive: true });
    });

    const withText = async (name: string, text: string) => {
      const file = join(folder, name);
      await writeFile(file, text);
      return file;
    };

    /** An environment whose conntrack sends a signal to whoever asks it for the IPv4 flows: once, a second one would end it. */
    const withSignallingConntrack = async (name: "TERM" | "KILL") => {
      const bin = await mkdtemp(join(folder, "bin-"));
      const path = process.env["PATH"] ?? "";
      const script = `#!/bin/sh\ncase "$*" in -L*ipv4) kill -${name} $PPID ;; esac\nPATH='${path}' exec conntrack "$@"\n`;
      await writeFile(join(bin, "conntrack"), script, { mode: 0o755 });
      return { PATH: `${bin}:${path}` };
    };

    const runsOn = (variant: "nft" | "legacy") => {
      const flags = ["--variant", variant];
      return {
        flags,
        onOne: (command: string, file: string) => [
          ...["iptables", command, file, "--host", "one", "--foreign-host"],
          ...flags,
        ],
      };
    };

    // What differs between the two is the contract's to show, in @svcproxy/iptables.
    for (const variant of ["nft", "legacy"] as const) {
      describe(`with iptables-${variant}`, () => {
        const { onOne } = runsOn(variant);

        test("applies once, finds nothing to do the second time, and cleans up to what was before", async ({
          expect,
        }) => {
          await using namespace = await createNetworkNamespace();
          await namespace.run(`iptables-${variant}`, [
            "-t",
            "nat",
            "-A",
            "OUTPUT",
            "-p",
            "tcp",
            "--dport",
            "1",
            "-j",
            "ACCEPT",
          ]);
          const before = await saveRules(namespace, variant);
          expect(await runCli(namespace, onOne("diff", dual))).toMatchObject({ exitCode: 3 });
          expect(await runCli(namespace, onOne("apply", dual))).toMatchObject({
            exitCode: 0,
            stdout: expect.stringMatching(/^done: .*nat \(IPv4\).*nat \(IPv6\)/),
          });
          const applied = await saveRules(namespace, variant);
          expect(await runCli(namespace, onOne("apply", dual))).toMatchObject({
            exitCode: 0,
            stdout: expect.stringMatching(/^nothing to change/),
          });
          expect(await saveRules(namespace, variant)).toBe(applied);
          expect(await runCli(namespace, onOne("diff", dual))).toMatchObject({ exitCode: 0, stdout: "" });
          expect(await runCli(namespace, ["iptables", "cleanup"])).toMatchObject({ exitCode: 0 });
          expect(await saveRules(namespace, variant)).toBe(before);
        });

        test("counters of foreign rules and of our unchanged chains go on", async ({ expect }) => {
          await using namespace = await createNetworkNamespace();
          await runCli(namespace, onOne("apply", dual));
          await namespace.run("sh", ["-e"], {
            input: `
            printf '*nat\\n[7:70] -A OUTPUT -p tcp --dport 1 -j ACCEPT\\nCOMMIT\\n' | iptables-${variant}-restore -c --noflush -w
            printf '*nat\\n:KUBE-MARK-MASQ - [0:0]\\n[5:50] -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0xffffffff\\nCOMMIT\\n' | iptables-${variant}-restore -c --noflush -w
            iptables-${variant} -w -t nat -F KUBE-NODEPORTS
            iptables-${variant} -w -t nat -D POSTROUTING -j KUBE-POSTROUTING
            iptables-${variant} -w -t nat -I POSTROUTING 1 -j KUBE-POSTROUTING`,
          });
          expect(await runCli(namespace, onOne("apply", dual))).toMatchObject({
            exitCode: 0,
            stdout: expect.stringMatching(/^done/),
          });
          const { stdout } = await namespace.run(`iptables-${variant}-save`, ["-c", "-t", "nat"]);
          expect(stdout).toMatch(/^\[7:70\] -A OUTPUT -p tcp -m tcp --dport 1 -j ACCEPT$/m);
          expect(stdout).toMatch(/^\[5:50\] -A KUBE-MARK-MASQ /m);
        });
      });
    }

    const variant = "nft";
    const { flags, onOne } = runsOn(variant);

    test("says that route_localnet is still on once its guard is gone, and not before", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      const guarded = await withText(
        `guarded-${variant}.yaml`,
        `${topologyText()}node: { localhostNodePorts: true }\n`,
      );
      await namespace.run("sysctl", ["-q", "-w", "net.ipv4.conf.all.route_localnet=1"]);
      const warned = async (argv: readonly string[]) => {
        const { stdout } = await runCli(namespace, [...argv, "--json"]);
        return stdout.includes("route_localnet is still on");
      };
      expect(await warned(onOne("apply", guarded))).toBe(false);
      expect(await warned(onOne("apply", dual))).toBe(true);
      expect(await warned(["iptables", "cleanup", ...flags])).toBe(false);
    });

    test("several at once exclude each other", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      const moved = await withText(`moved-${variant}.yaml`, topologyText({ address: "192.0.2.7" }));
      const runs = await Promise.all([dual, moved, dual, dual].map((file) => runCli(namespace, onOne("apply", file))));
      expect(runs).toEqual(runs.map(() => expect.objectContaining({ exitCode: 0 })));
      expect(await runCli(namespace, onOne("apply", dual))).toMatchObject({ exitCode: 0 });
      expect(await runCli(namespace, onOne("diff", dual))).toMatchObject({ exitCode: 0, stdout: "" });
      expect((await saveRules(namespace, variant)).match(/^-A PREROUTING -j KUBE-SERVICES$/gm)).toHaveLength(2);
    });

    test("beside a program that changes rules in a loop, it ends with the plan in place", async ({
      expect,
      signal,
    }) => {
      await using namespace = await createNetworkNamespace();
      const stop = new AbortController();
      const meddler = namespace
        .run(
          "sh",
          [
            "-c",
            `while :; do iptables-${variant} -w -t nat -I PREROUTING 1 -p tcp --dport 9 -j REDIRECT --to-ports 8; iptables-${variant} -w -t nat -D PREROUTING 1; done`,
          ],
          { signal: AbortSignal.any([stop.signal, signal]) },
        )
        .catch(() => {});
      const small = await withText(`small-${variant}.yaml`, topologyText({ udp: [] }));
      try {
        for (const file of [dual, small, dual])
          expect(await runCli(namespace, onOne("apply", file))).toMatchObject({ exitCode: 0 });
      } finally {
        stop.abort();
        await meddler;
      }
      expect(await runCli(namespace, onOne("diff", dual))).toMatchObject({ exitCode: 0 });
    });

    test("after kill -9 at any moment, the next run mends what was left", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      const other = await withText(`other-${variant}.yaml`, topologyText({ address: "192.0.2.8", udp: [] }));
      let killed = 0;
      for (let round = 0; round < 16; round++) {
        const args = round % 6 === 5 ? ["iptables", "cleanup"] : onOne("apply", round % 2 === 0 ? dual : other);
        const { child, ended } = startCli(namespace, args);
        // From the start of Node to some time after a usual end.
        const timer = setTimeout(() => child.kill("SIGKILL"), 40 + 15 * round + Math.random() * 50);
        if ((await ended).exitCode === null) killed++;
        clearTimeout(timer);
      }
      expect(killed).toBeGreaterThan(0);
      expect(await runCli(namespace, onOne("apply", dual))).toMatchObject({ exitCode: 0 });
      expect(await runCli(namespace, onOne("diff", dual))).toMatchObject({ exitCode: 0, stdout: "" });
      const after = await saveRules(namespace, variant);
      expect(after.match(/^-A PREROUTING -j KUBE-SERVICES$/gm)).toHaveLength(2);
      expect(after).not.toMatch(/192\.0\.2\.8/);
      await runCli(namespace, ["iptables", "cleanup"]);
      expect(await saveRules(namespace, variant)).toBe("");
    });

    test("UDP flows of endpoints that are gone, and of a frontend's time without endpoints, are deleted", async ({
      expect,
    }) => {
      await using namespace = await createNetworkNamespace();
      const one = await withText(`udp-${variant}.yaml`, topologyText({ udp: ["b"] }));
      const none = await withText(`no-udp-${variant}.yaml`, topologyText({ udp: [] }));
      await runCli(namespace, onOne("apply", dual));
      await namespace.run("sh", ["-e"], {
        input: [
          "ip addr add 192.0.2.6/32 dev lo",
          makeUdpFlow("10.5.75.10", "10.100.0.2", "10.5.75.2"),
          makeUdpFlow("10.5.75.11", "10.100.0.2", "10.5.75.3"),
          makeUdpFlow("10.5.75.12", "192.0.2.6", "10.5.75.2", "30053"),
          makeUdpFlow("10.5.75.13", "192.0.2.99", "10.5.75.2", "30053"),
          makeUdpFlow("fd00:5::10", "fd00:9::2", "fd00:5::2"),
          makeUdpFlow("fd00:5::11", "fd00:9::2", "fd00:5::3"),
        ].join("\n"),
      });
      expect(await runCli(namespace, onOne("apply", one))).toMatchObject({
        exitCode: 0,
        stderr: expect.stringContaining("deleted 3 UDP flows"),
      });
      expect(await udpClients(namespace)).toEqual(["10.5.75.11", "10.5.75.13", "fd00:5::11"]);
      // The rules are in by then: a signal that comes now must not leave the flows behind.
      const signalling = await withSignallingConntrack("TERM");
      expect(await runCli(namespace, onOne("apply", none), { env: signalling })).toMatchObject({ exitCode: 0 });
      expect(await udpClients(namespace)).toEqual(["10.5.75.13"]);
      await namespace.run("sh", ["-e"], { input: makeUdpFlow("10.5.75.14", "10.100.0.2", "") });
      await runCli(namespace, onOne("apply", one));
      expect(await udpClients(namespace)).toEqual(["10.5.75.13"]);
    });

    test.for([
      { name: "apply", next: "apply" },
      { name: "cleanup", next: "cleanup" },
    ])("flows that a killed run left behind are deleted by the next $name", async ({ next }, { expect }) => {
      await using namespace = await createNetworkNamespace();
      const without = await withText(
        `without-dns-${variant}-${next}.yaml`,
        topologyText().replace(/ {2}- name: dns[\s\S]*/, ""),
      );
      await runCli(namespace, onOne("apply", dual));
      await namespace.run("sh", ["-e"], {
        input: [
          "ip addr add 192.0.2.6/32 dev lo",
          makeUdpFlow("10.5.75.10", "10.100.0.2", "10.5.75.2"),
          makeUdpFlow("10.5.75.12", "192.0.2.6", "10.5.75.2", "30053"),
          // Somebody else's, on the same NodePort and VIP.
          makeUdpFlow("10.5.75.13", "192.0.2.6", "10.7.7.7", "30053"),
          makeUdpFlow("10.5.75.14", "10.100.0.9", "10.5.75.2"),
          makeUdpFlow("fd00:5::10", "fd00:9::2", "fd00:5::3"),
        ].join("\n"),
      });
      const run = { env: await withSignallingConntrack("KILL") };
      const killed = next === "cleanup" ? ["iptables", "cleanup"] : onOne("apply", without);
      expect(await runCli(namespace, killed, run)).toMatchObject({ exitCode: null });
      expect(await udpClients(namespace)).toHaveLength(5);
      const after = await saveRules(namespace, variant);
      expect(after).not.toMatch(/-A KUBE-\S+ .*10\.100\.0\.2/);
      expect(after).toContain("SVCPROXY-UDP-GONE");
      expect(await runCli(namespace, killed)).toMatchObject({
        exitCode: 0,
        stderr: expect.stringContaining("deleted 3 UDP flows"),
      });
      expect(await udpClients(namespace)).toEqual(["10.5.75.13", "10.5.75.14"]);
      if (next === "apply") {
        expect(await runCli(namespace, onOne("diff", without))).toMatchObject({ exitCode: 0, stdout: "" });
        await runCli(namespace, ["iptables", "cleanup"]);
      }
      expect(await saveRules(namespace, variant)).toBe("");
    });

    test("apply and cleanup tell as JSON what they changed", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      const json = async (args: readonly string[]): Promise<unknown> => {
        const { stdout, exitCode } = await runCli(namespace, [...args, "--json"]);
        expect(exitCode).toBe(0);
        return JSON.parse(stdout);
      };
      const tables = [
        { family: 4, table: "nat" },
        { family: 6, table: "nat" },
      ];
      const { stdout } = await runCli(namespace, [...onOne("diff", dual), "--json"]);
      const { differences } = JSON.parse(stdout);
      expect(await json([...onOne("apply", dual), "--dry-run"])).toMatchObject({
        ...{ dryRun: true, changed: true, variant, tables, differences, deletedUdpFlows: 0 },
        restore: [
          { command: `iptables-${variant}-restore --noflush -w 30`, input: expect.stringMatching(/^\*nat\n/) },
          { command: `ip6tables-${variant}-restore --noflush -w 30`, input: expect.stringMatching(/^\*nat\n/) },
        ],
      });
      expect(await saveRules(namespace, variant)).toBe("");
      expect(await json(onOne("apply", dual))).toEqual({
        ...{ dryRun: false, changed: true, variant, tables, differences, deletedUdpFlows: 0 },
        problems: expect.arrayContaining([expect.objectContaining({ code: "FORWARDING_OFF" })]),
        warnings: expect.any(Array),
      });
      await namespace.run("sh", ["-e"], { input: makeUdpFlow("10.5.75.10", "10.100.0.2", "10.5.75.99") });
      expect(await json(onOne("apply", dual))).toMatchObject({
        ...{ dryRun: false, changed: false, variant, tables: [], differences: [], deletedUdpFlows: 1 },
      });
      const cleanup = ["iptables", "cleanup"];
      const removed = { changed: true, variant, tables };
      expect(await json([...cleanup, "--dry-run"])).toMatchObject({
        ...{ dryRun: true, changed: true, variants: [{ ...removed, restore: [{}, {}] }] },
      });
      expect(await json(cleanup)).toMatchObject({
        ...{ dryRun: false, changed: true, variants: [{ ...removed, deletedUdpFlows: 0 }], warnings: [] },
      });
      expect(await json(cleanup)).toEqual({
        dryRun: false,
        changed: false,
        variants: [],
        problems: [],
        warnings: [],
      });
    });
  },
);
