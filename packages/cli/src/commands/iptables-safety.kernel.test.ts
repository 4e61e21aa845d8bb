import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, test } from "vitest";
import { runCli } from "../testing/cli-in-namespace.ts";
import { saveRules, topologyText } from "../testing/host-with-rules.ts";

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
  },
);
