import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { whyNoKernelTests } from "@svcproxy/lab";
import { ASKING_PODS, createServiceWorld, randomPod, startLoad } from "@svcproxy/nftables/testing";
import { describe, test } from "vitest";
import { runCli, startCli } from "../testing/cli-in-namespace.ts";
import { until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "iptables-legacy", "conntrack", "nsenter", "python3"]);

const KILLS = 5;

const PODS = [0, 1, 2].map((pod) => ({ ...randomPod(pod), port: 8080 }));

/** One service with some of the pods, which are there all the time. */
function topologyOf(count: number) {
  return {
    hosts: [
      {
        ...{ name: "one", addresses: ["192.168.1.6"], podCIDRs: ["10.5.0.0/24"] },
        pods: PODS.map(({ name, ipv4, port }) => ({ name, addresses: [`${ipv4}:${port}`] })),
      },
    ],
    services: [
      {
        ...{ name: "web", clusterIPs: ["10.100.0.1"], ports: [{ port: 80, nodePort: 30080 }] },
        endpoints: PODS.slice(0, count).map(({ name }) => name),
      },
    ],
  };
}

/** A host in the middle of pods and clients, with an agent that can be started again. */
async function createHost() {
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-run-"));
  const world = await createServiceWorld();
  const file = join(folder, "topology.json");
  const env = { RUNTIME_DIRECTORY: folder, XTABLES_LOCKFILE: join(folder, "xtables.lock") };
  const write = async (count: number) => {
    await writeFile(`${file}.new`, JSON.stringify(topologyOf(count)));
    await rename(`${file}.new`, file);
  };
  await write(3);
  const agents = new Set<ReturnType<typeof startCli>>();
  const start = (dataPath: string) => {
    const none = ["--healthz-bind-address", "none", "--metrics-bind-address", "none"];
    const agent = startCli(world.host, ["run", file, "--host", "one", "--data-path", dataPath, ...none], { env });
    agents.add(agent);
    return agent;
  };
  const status = async (): Promise<string> => (await runCli(world.host, ["status", "--json"], { env })).stdout;
  const shows = (...parts: readonly string[]) => {
    let last = "";
    return until(
      async () => {
        last = await status();
        return parts.every((part) => last.includes(part));
      },
      () => `the status does not show ${parts.join(", ")}: ${last}`,
    );
  };
  /** What the doctor finds without a probe, a code each. */
  const doctor = async (): Promise<readonly string[]> => {
    const { stdout } = await runCli(world.host, ["doctor", file, "--host", "one", "--no-probe", "--json"], { env });
    return JSON.parse(stdout).causes.map(({ code }: { readonly code: string }) => code);
  };
  return {
    ...{ world, write, start, status, shows, doctor },
    load: () =>
      startLoad({
        ...{ from: world.pod, rate: 100, to: "10.100.0.1", port: 80 },
        sources: ASKING_PODS.map(({ ipv4 }) => ipv4),
      }),
    shell: async (script: string) => (await world.host.run("sh", ["-c", script])).stdout,
    async [Symbol.asyncDispose]() {
      for (const { child } of agents) child.kill("SIGKILL");
      await Promise.all([...agents].map(({ ended }) => ended));
      await world[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

const UNHARMED = { refused: 0, reset: 0, failed: 0, errors: [] };

describe.skipIf(reason !== undefined)(
  `svcproxy run under connections${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test.for(["nftables", "iptables"])(
      "with %s, killed again and again while its file changes, it harms no connection",
      async (dataPath, { expect }) => {
        await using host = await createHost();
        let agent = host.start(dataPath);
        await host.shows('"following"');
        const load = await host.load();
        for (let round = 0; round < KILLS; round++) {
          await host.write(1 + (round % 3));
          await delay(600);
          agent.child.kill("SIGKILL");
          await agent.ended;
          agent = host.start(dataPath);
        }
        await host.shows('"following"');
        const report = await load.stop();
        expect(report).toMatchObject(UNHARMED);
        expect(report.answered).toBeGreaterThan(10);
      },
    );

    test("started with another data path, and back, it harms no connection", async ({ expect }) => {
      await using host = await createHost();
      let agent = host.start("nftables");
      await host.shows('"following"', '"nftables"');
      const load = await host.load();
      for (const [dataPath, gone] of [
        ["iptables", "nft list tables | grep -c 'ip svcproxy' || true"],
        ["nftables", "iptables-nft-save | grep -c KUBE-SVC || true"],
      ] as const) {
        agent.child.kill("SIGTERM");
        await agent.ended;
        agent = host.start(dataPath);
        await host.shows('"following"', `"${dataPath}"`);
        await until(
          async () => (await host.shell(gone)).trim() === "0",
          () => `what served before ${dataPath} is still there`,
        );
      }
      const report = await load.stop();
      expect(report).toMatchObject(UNHARMED);
      expect(report.answered).toBeGreaterThan(10);
    });

    test("who undoes what it mends again and again is let be, and named; then all is served again", async ({
      expect,
    }) => {
      await using host = await createHost();
      host.start("nftables");
      await host.shows('"following"', '"told"');
      const pid = await host.shell(
        "(for i in $(seq 1000); do nft flush map ip svcproxy services; sleep 0.1; done) > /dev/null 2>&1 & echo $!",
      );
      await host.shows('"degraded"', "RULES_CONTESTED", "is let be for");
      expect(await host.status()).toMatch(/changes what is ours again and again, and is let be for \d+ s each time/);
      expect(await host.doctor()).toContain("RULES_CONTESTED");
      await host.shell(`kill ${pid}`);
      await until(
        async () => (await host.shell("nft list map ip svcproxy services")).includes("10.100.0.1"),
        () => "the service is not back",
      );
    });

    test("iptables-legacy, which tells of nothing, is mended within the interval that the status shows", async ({
      expect,
    }) => {
      await using host = await createHost();
      // The kubelet says by it which of the two is in use.
      await host.shell("iptables-legacy -t mangle -N KUBE-IPTABLES-HINT");
      host.start("iptables");
      await host.shows('"following"', '"looking"');
      const [, everyMs = "0"] = /"lookEveryMs": ([\d.]+)/.exec(await host.status()) ?? [];
      expect(Number(everyMs)).toBeGreaterThanOrEqual(2_000);
      expect(Number(everyMs)).toBeLessThanOrEqual(60_000);
      await host.shell("iptables-legacy -t nat -F PREROUTING");
      await until(
        async () => (await host.shell("iptables-legacy-save -t nat")).includes("-A PREROUTING"),
        () => "it is not mended",
      );
    });
  },
);
