import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, test } from "vitest";
import { runCli } from "../testing/cli-in-namespace.ts";
import { saveRules, topologyText } from "../testing/host-with-rules.ts";
import { ProxyHost } from "../testing/proxy-host.ts";

/** Kubernetes objects, whose rules are Kubernetes' own where nothing else is said. */
const OBJECTS = fileURLToPath(new URL("../../../host/src/testing/flows/scenarios/objects.yaml", import.meta.url));

const reason = whyNoKernelTests(["ip", "iptables-nft", "ip6tables-nft", "conntrack"]);

describe.skipIf(reason !== undefined)(
  `what svcproxy iptables keeps people from${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 120_000 },
  () => {
    let folder = "";
    let dual = "";
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "svcproxy-safety-"));
      dual = join(folder, "dual.yaml");
      await writeFile(dual, topologyText());
    });
    afterAll(() => rm(folder, { recursive: true }));

    describe("the dialect and dispatch of the rules that are here", () => {
      const onOne = (command: string, ...flags: readonly string[]) => [
        "iptables",
        command,
        dual,
        "--host",
        "one",
        "--foreign-host",
        ...flags,
      ];

      test("hold for diff and apply without flags, and for cleanup", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        await runCli(namespace, onOne("apply", "--dialect", "kubernetes", "--dispatch", "tree"));
        const applied = await saveRules(namespace, "nft");
        expect(await runCli(namespace, onOne("diff"))).toMatchObject({ exitCode: 0, stdout: "" });
        const again = await runCli(namespace, onOne("apply"));
        expect(again).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^nothing to change/) });
        expect(again.stderr).toMatch(/kubernetes dialect, and stay so: --dialect changes it/);
        expect(await saveRules(namespace, "nft")).toBe(applied);
        await runCli(namespace, ["iptables", "cleanup"]);
        expect(await saveRules(namespace, "nft")).toBe("");
      });

      test("hold for prove --live, where the input would have others", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        const prove = ["prove", OBJECTS, "--host", "edge", "--live"];
        await runCli(namespace, [
          "iptables",
          "apply",
          OBJECTS,
          "--host",
          "edge",
          "--foreign-host",
          "--dialect",
          "document",
        ]);
        expect((await runCli(namespace, [...prove, "--dialect", "kubernetes"])).exitCode).toBe(3);
        expect(await runCli(namespace, prove)).toMatchObject({
          exitCode: 0,
          stdout: expect.stringMatching(/^by design {2}NodePorts match on 127\.0\.0\.0\/8/m),
        });
      });

      test("change by flags, and then the new ones hold", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        await runCli(namespace, onOne("apply", "--dialect", "kubernetes"));
        expect(await runCli(namespace, onOne("apply", "--dialect", "document"))).toMatchObject({
          stdout: expect.stringMatching(/^done/),
        });
        expect(await saveRules(namespace, "nft")).not.toMatch(/KUBE-EXTERNAL-SERVICES/);
        expect(await runCli(namespace, onOne("diff"))).toMatchObject({ exitCode: 0 });
        expect(await runCli(namespace, onOne("apply"))).toMatchObject({ stdout: expect.stringMatching(/^nothing/) });
      });
    });

    describe("a host that is not this machine", () => {
      test.for([{ command: ["iptables", "apply"] }, { command: ["iptables", "diff"] }, { command: ["userspace"] }])(
        "is refused by $command, with the one that it is",
        async ({ command }, { expect }) => {
          await using namespace = await createNetworkNamespace();
          await namespace.run("ip", ["address", "add", "192.0.2.7/32", "dev", "lo"]);
          const text = `${topologyText()}`.replace("services:", "  - { name: two, address: 192.0.2.7 }\nservices:");
          const result = await runCli(namespace, [...command, "-", "--host", "one"], { input: text });
          expect(result.exitCode).toBe(2);
          expect(result.stderr).toMatch(/Host "one" is not this machine, which is host "two".*\[FOREIGN_HOST\]/);
          expect(result.stderr).toMatch(/--foreign-host/);
          expect(await saveRules(namespace, "nft")).toBe("");
        },
      );

      test("is taken with the flag, and where one of its addresses is here, be it on another device", async ({
        expect,
      }) => {
        await using namespace = await createNetworkNamespace();
        const diff = ["iptables", "diff", dual, "--host", "one"];
        expect((await runCli(namespace, [...diff, "--foreign-host"])).exitCode).toBe(3);
        await namespace.run("ip", ["address", "add", "2001:db8::6/128", "dev", "lo"]);
        expect((await runCli(namespace, diff)).exitCode).toBe(3);
      });
    });

    describe("a NodePort that a program of this host listens on", () => {
      const CASE = `
hosts: [{ name: a, address: 10.0.0.1 }]
services:
  - { name: y, clusterIP: 10.50.0.1, ports: [{ port: 80, nodePort: 22 }], endpoints: ["10.0.0.2:80"] }
  - { name: z, clusterIP: 10.50.0.2, ports: [{ port: 80, nodePort: 30080 }], endpoints: ["10.0.0.2:80"] }
`;

      test("is left out and named, the rest is applied, and exit code 1 says so; --take-port takes it", async ({
        expect,
      }) => {
        await using host = await ProxyHost.create();
        const { namespace } = host;
        await namespace.run("ip", ["address", "add", "10.0.0.1/32", "dev", "lo"]);
        host.startScript(
          'process.title = "sshd"; (await import("node:net")).createServer().listen(22, "0.0.0.0", () => console.log("up"));',
        );
        await expect.poll(() => listensOn(namespace, 22)).toBe(true);
        const run = (command: string, ...flags: readonly string[]) =>
          runCli(namespace, ["iptables", command, "-", "--host", "a", ...flags], { input: CASE });
        const applied = await run("apply");
        expect(applied).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/^done/) });
        expect(applied.stderr).toMatch(/NodePort 22\/tcp of default\/y is left out, because sshd \(pid \d+\) listens/);
        expect(applied.stderr).toMatch(/--take-port 22/);
        const rules = await saveRules(namespace, "nft");
        expect(rules).toMatch(/--dport 30080 /);
        expect(rules).toMatch(/-d 10\.50\.0\.1\/32 /);
        expect(rules).not.toMatch(/--dport 22 /);
        expect(await run("diff")).toMatchObject({ exitCode: 0, stdout: "" });
        expect(JSON.parse((await run("apply", "--json")).stdout)).toMatchObject({
          changed: false,
          problems: expect.arrayContaining([
            expect.objectContaining({ code: "NODE_PORT_TAKEN", subject: "NodePort 22/tcp of default/y" }),
          ]),
        });
        expect(await run("apply", "--take-port", "22")).toMatchObject({ exitCode: 0 });
        expect(await saveRules(namespace, "nft")).toMatch(/--dport 22 /);
        // What an earlier version took is given back.
        expect(await run("apply")).toMatchObject({ exitCode: 1 });
        expect(await saveRules(namespace, "nft")).not.toMatch(/--dport 22 /);
      });

      test("is warned of by check where it is below 1024", async ({ expect }) => {
        await using namespace = await createNetworkNamespace();
        const { exitCode, stdout, stderr } = await runCli(namespace, ["check", "-"], { input: CASE });
        expect(exitCode).toBe(0);
        expect(stdout + stderr).toMatch(/NodePort 22 is below 1024.*\[LOW_NODE_PORT\]/);
        expect(stdout + stderr).not.toMatch(/NodePort 30080 is below/);
      });
    });
  },
);

async function listensOn(namespace: NetworkNamespace, port: number): Promise<boolean> {
  const { stdout } = await namespace.run("cat", ["/proc/net/tcp"]);
  return stdout.includes(`:${port.toString(16).padStart(4, "0").toUpperCase()} 00000000:0000 0A`);
}
