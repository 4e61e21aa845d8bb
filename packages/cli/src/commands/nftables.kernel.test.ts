import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, test, vi } from "vitest";
import { runCli } from "../testing/cli-in-namespace.ts";
import { makeUdpFlow, topologyText, udpClients } from "../testing/host-with-rules.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "ip6tables-nft", "conntrack"]);

/** The namespaces of these tests have no address but loopback. */
const THIS = ["--host", "one", "--foreign-host"];

describe.skipIf(reason !== undefined)(
  `svcproxy nftables apply, diff, cleanup, counters${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 300_000 },
  () => {
    let folder = "";
    let dual = "";
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "svcproxy-nftables-"));
      // The lock is in the folder, so that it is this test's alone.
      vi.stubEnv("RUNTIME_DIRECTORY", folder);
      vi.stubEnv("XTABLES_LOCKFILE", join(folder, "xtables.lock"));
      dual = join(folder, "dual.yaml");
      await writeFile(dual, topologyText());
    });
    afterAll(async () => {
      vi.unstubAllEnvs();
      await rm(folder, { recursive: true });
    });

    const onOne = (command: string, ...flags: string[]) => ["nftables", command, dual, ...THIS, ...flags];
    const ruleset = async (namespace: NetworkNamespace) =>
      (await namespace.run("nft", ["-s", "list", "ruleset"])).stdout;

    test("what is printed loads, and is what apply makes", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      const { stdout } = await runCli(namespace, ["nftables", dual, "--host", "one"]);
      await namespace.run("nft", ["-f", "-"], { input: stdout });
      await namespace.run("nft", ["-f", "-"], { input: stdout });
      expect(await runCli(namespace, onOne("diff"))).toMatchObject({ exitCode: 0, stdout: "" });
      expect(await runCli(namespace, onOne("apply"))).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/^nothing to change/),
      });
    });

    test("applies once, finds nothing to do the second time, and cleans up to what was before", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await namespace.run("nft", ["add table inet theirs"]);
      const before = await ruleset(namespace);
      expect(await runCli(namespace, onOne("diff"))).toMatchObject({ exitCode: 3 });
      expect(await runCli(namespace, onOne("apply", "--dry-run"))).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/^# nft -f -\ncreate table ip svcproxy/),
      });
      expect(await ruleset(namespace)).toBe(before);
      expect(await runCli(namespace, onOne("apply"))).toMatchObject({
        exitCode: 0,
        stdout: "done: nftables has the new plan; changed ip svcproxy, ip6 svcproxy\n",
      });
      const applied = await ruleset(namespace);
      expect(await runCli(namespace, onOne("apply"))).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/^nothing/),
      });
      expect(await ruleset(namespace)).toBe(applied);
      expect(await runCli(namespace, ["nftables", "cleanup"])).toMatchObject({
        exitCode: 0,
        stdout: "done: removed table ip svcproxy, table ip6 svcproxy\n",
      });
      expect(await ruleset(namespace)).toBe(before);
      expect(await runCli(namespace, ["nftables", "cleanup", "--json"])).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining('"changed": false'),
      });
    });

    test("tells a difference with the service that it concerns, and mends it", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await runCli(namespace, onOne("apply", "--family", "4"));
      await namespace.run("nft", ["delete element ip svcproxy groups { 1:0 }"]);
      const { exitCode, stdout } = await runCli(namespace, onOne("diff", "--json"));
      expect(exitCode).toBe(3);
      expect(JSON.parse(stdout).differences).toEqual(
        [
          { kind: "missing-table", place: "IPv6 table", text: "table ip6 svcproxy is not there" },
          {
            ...{ kind: "missing-element", place: "IPv4 groups 1:0" },
            text: "element of groups for default/web is not there:\n+ 1:0 : goto pick-tcp-2",
          },
        ].sort((a, b) => (a.place < b.place ? -1 : 1)),
      );
      expect(await runCli(namespace, onOne("apply"))).toMatchObject({ exitCode: 0 });
      expect(await runCli(namespace, onOne("diff"))).toMatchObject({ exitCode: 0 });
    });

    test("a table that was put to sleep is a difference, and is woken", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await runCli(namespace, onOne("apply"));
      const applied = await ruleset(namespace);
      await namespace.run("nft", ["add table ip svcproxy { flags dormant; }"]);
      expect(await runCli(namespace, onOne("diff"))).toMatchObject({
        exitCode: 3,
        stdout: expect.stringContaining("table ip svcproxy is dormant: the kernel asks none of its chains"),
      });
      expect(await runCli(namespace, onOne("apply"))).toMatchObject({ exitCode: 0 });
      expect(await ruleset(namespace)).toBe(applied);
    });

    test("counts", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      expect(await runCli(namespace, ["nftables", "counters"])).toMatchObject({ exitCode: 1 });
      await runCli(namespace, onOne("apply", "--traffic-counters"));
      const { stdout } = await runCli(namespace, ["nftables", "counters", "--family", "4", "--service", "dns"]);
      expect(stdout.split("\n").map((line) => line.trim().replaceAll(/ {2,}/g, " | "))).toEqual([
        "SERVICE | ADDRESS | NEW | FROM CLIENTS | TO CLIENTS",
        "default/dns | udp 10.100.0.2:53 | 0 | 0 packets, 0 bytes | 0 packets, 0 bytes",
        "default/dns | udp NodePort 30053 (IPv4) | 0 | 0 packets, 0 bytes | 0 packets, 0 bytes",
        "default/dns | -> 10.5.75.2:3000 | 0 | - | -",
        "default/dns | -> 10.5.75.3:3000 | 0 | - | -",
        "",
      ]);
    });

    test("deletes UDP flows of endpoints that are gone, and those that went past before their service came", async ({
      expect,
    }) => {
      await using namespace = await createNetworkNamespace();
      const flow = (client: string, endpoint: string) =>
        namespace.run("sh", ["-c", makeUdpFlow(client, "10.100.0.2", endpoint)]);
      await flow("10.9.0.1", "");
      await flow("10.9.0.2", "10.5.75.2");
      await flow("10.9.0.3", "10.5.75.3");
      await namespace.run("sh", ["-c", makeUdpFlow("10.9.0.4", "10.8.8.8", "")]);
      await runCli(namespace, onOne("apply"));
      expect(await udpClients(namespace)).toEqual(["10.9.0.2", "10.9.0.3", "10.9.0.4"]);
      const fewer = join(folder, "fewer.yaml");
      await writeFile(fewer, topologyText({ udp: ["a"] }));
      const { stdout } = await runCli(namespace, ["nftables", "apply", fewer, ...THIS, "--json"]);
      expect(JSON.parse(stdout)).toMatchObject({ changed: true, deletedUdpFlows: 1 });
      expect(await udpClients(namespace)).toEqual(["10.9.0.2", "10.9.0.4"]);
      await runCli(namespace, ["nftables", "cleanup"]);
      expect(await udpClients(namespace)).toEqual(["10.9.0.4"]);
    });

    test("takes the place of iptables and gives it back, and no UDP flow ends", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      const iptables = ["iptables", "apply", dual, ...THIS, "--variant", "nft"];
      await runCli(namespace, iptables);
      await namespace.run("sh", ["-c", makeUdpFlow("10.9.0.2", "10.100.0.2", "10.5.75.2")]);
      const rulesLeft = async () => /KUBE-SERVICES/.test(await ruleset(namespace));
      const tableLeft = async () => /table ip svcproxy/.test(await ruleset(namespace));
      expect(await runCli(namespace, onOne("apply", "--replace", "iptables"))).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/removed ours from iptables: iptables-nft nat/),
      });
      expect([await rulesLeft(), await tableLeft()]).toEqual([false, true]);
      expect(await runCli(namespace, [...iptables, "--replace", "nftables"])).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/removed ours from nftables: table ip svcproxy, table ip6 svcproxy/),
      });
      expect([await rulesLeft(), await tableLeft()]).toEqual([true, false]);
      expect(await udpClients(namespace)).toEqual(["10.9.0.2"]);
    });

    test("cleanup without a data path removes whatever is ours", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      await runCli(namespace, onOne("apply"));
      for (const variant of ["nft", "legacy"]) {
        await runCli(namespace, ["iptables", "apply", dual, ...THIS, "--variant", variant]);
      }
      const { exitCode, stdout } = await runCli(namespace, ["cleanup", "--json"]);
      expect(exitCode).toBe(0);
      expect(JSON.parse(stdout).removed).toEqual(
        expect.arrayContaining([
          "table ip svcproxy",
          "table ip6 svcproxy",
          expect.stringMatching(/iptables-nft nat/),
          expect.stringMatching(/iptables-legacy nat/),
        ]),
      );
      expect(await ruleset(namespace)).not.toMatch(/svcproxy|KUBE-/);
      expect(await runCli(namespace, ["cleanup"])).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/^nothing/),
      });
    });
  },
);
