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
        await runCli(namespace, ["iptables", "apply", OBJECTS, "--host", "edge", "--dialect", "document"]);
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
  },
);
