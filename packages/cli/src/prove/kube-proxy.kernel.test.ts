import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClusterObject, TestApiServer } from "@svcproxy/agent/testing";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { recordedCase, recordedCases, recordedConfigurationText } from "@svcproxy/nftables/testing";
import { afterAll, describe, expect, test } from "vitest";
import { runCli } from "../testing/cli-in-namespace.ts";
import { runKubeProxy, whyNoKubeProxy } from "../testing/kube-proxy/run-kube-proxy.ts";
import { runInMemory } from "../testing/memory-context.ts";

/** A suite that nobody asked for is none that was skipped. */
const isAskedFor = whyNoKubeProxy() === undefined;
const reason = isAskedFor ? whyNoKernelTests(["ip", "unshare", "nsenter", "mount", "nft", "iptables-save"]) : undefined;
const folder = mkdtempSync(join(tmpdir(), "svcproxy-kube-proxy-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** The rules of a dump whatever order kube-proxy went through its services in, which is another one each time. */
function sortedLines(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.trim().replaceAll(/,$/g, ""))
    .sort();
}

test("the API server that it asks has a place for each object that was recorded", async () => {
  await using server = await TestApiServer.start();
  for (const name of recordedCases()) {
    const { items } = JSON.parse(readFileSync(recordedCase(name).objects, "utf8"));
    expect(items.length).toBeGreaterThan(0);
    expect(() => items.forEach((item: ClusterObject) => void server.store.put(item)), name).not.toThrow();
  }
});

if (isAskedFor) {
  describe.skipIf(reason !== undefined)(`a real kube-proxy${reason === undefined ? "" : ` (${reason})`}`, () => {
    describe.for(recordedCases())("with %s", (name) => {
      const recorded = recordedCase(name);

      test.for(["iptables", "nftables"] as const)(
        "writes rules in %s mode on which every claim holds, those that are recorded",
        async (mode) => {
          await using namespace = await createNetworkNamespace();
          const configuration = recordedConfigurationText(name, mode);
          const { saved, listing } = await runKubeProxy(namespace, { objects: recorded.objects, configuration });
          const [rules, config] = [join(folder, `${name}-${mode}.txt`), join(folder, `${name}-${mode}.yaml`)];
          writeFileSync(rules, mode === "iptables" ? saved : listing);
          writeFileSync(config, configuration);
          const argv = ["prove", recorded.objects, "--config", config, "--host", "node1", "--rules"];
          const proved = await runInMemory([...argv, rules]);
          expect(proved.stdout).not.toMatch(/^(BROKEN|undecided)/m);
          expect(proved.exitCode).toBe(0);
          if (mode === "nftables") return;
          const diff = await runCli(namespace, [
            "iptables",
            "diff",
            recorded.objects,
            "--config",
            config,
            "--host",
            "node1",
          ]);
          expect(diff).toMatchObject({ exitCode: 0, stdout: "" });
          expect(sortedLines(saved)).toEqual(sortedLines(readFileSync(recorded.saved, "utf8")));
        },
      );
    });
  });
}
