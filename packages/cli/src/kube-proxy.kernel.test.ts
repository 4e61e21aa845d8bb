import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { recordedCase, recordedCases, recordedConfigurationText } from "@svcproxy/nftables/testing";
import { afterAll, describe, expect, test } from "vitest";
import { runCli } from "./testing/cli-in-namespace.ts";
import { createApiServer } from "./testing/kube-proxy/api-server.ts";
import { runKubeProxy, whyNoKubeProxy } from "./testing/kube-proxy/run-kube-proxy.ts";
import { runInMemory } from "./testing/memory-context.ts";

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

describe("the API server that it asks", () => {
  const ask = async (path: string, count: number) => {
    const [objects] = [JSON.parse(readFileSync(recordedCase("headless").objects, "utf8")).items];
    await using server = createApiServer(objects).server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new TypeError("no port");
    const { signal, ...end } = endless();
    const response = await fetch(`http://127.0.0.1:${address.port}${path}`, { signal });
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.split("\n").length > count) break;
    }
    end.abort();
    server.closeAllConnections();
    return { status: response.status, text };
  };
  const endless = () => {
    const controller = new AbortController();
    return { signal: controller.signal, abort: () => controller.abort() };
  };

  test("lists what kube-proxy's selectors leave", async () => {
    const { text } = await ask("/api/v1/services?fieldSelector=spec.clusterIP!%3DNone", Number.POSITIVE_INFINITY);
    const names = JSON.parse(text).items.map(({ metadata }: { metadata: { name: string } }) => metadata.name);
    expect(names.sort()).toEqual(["elsewhere", "web"]);
    const slices = await ask(
      "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=!service.kubernetes.io/headless",
      Number.POSITIVE_INFINITY,
    );
    expect(JSON.parse(slices.text).items).toHaveLength(1);
  });

  test("begins a watch with all objects and the mark of their end, and keeps it open", async () => {
    const { text } = await ask("/api/v1/nodes?fieldSelector=metadata.name=node1&watch=true&sendInitialEvents=true", 2);
    const events = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events.map(({ type, object }) => [type, object.metadata.name])).toEqual([
      ["ADDED", "node1"],
      ["BOOKMARK", undefined],
    ]);
    expect(events[1].object.metadata.annotations).toEqual({ "k8s.io/initial-events-end": "true" });
  });

  test("knows nothing else", async () => {
    expect((await ask("/api/v1/pods", Number.POSITIVE_INFINITY)).status).toBe(404);
  });
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
