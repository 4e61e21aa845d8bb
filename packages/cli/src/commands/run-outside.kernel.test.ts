import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { runAgent, statusOf } from "../testing/agent-host.ts";
import { ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft"]);

/** One service that balancers ask about, with its endpoint on the other host. */
const TOPOLOGY = {
  hosts: [
    { name: "one", address: "192.0.2.1", podCIDR: "10.5.75.0/24" },
    { name: "two", address: "192.0.2.2", podCIDR: "10.5.88.0/24", pods: [{ name: "far", address: "10.5.88.2:3000" }] },
  ],
  services: [
    {
      name: "web",
      clusterIP: "10.100.0.1",
      loadBalancerIPs: ["203.0.113.1"],
      externalTrafficPolicy: "Local",
      healthCheckNodePort: 32100,
      ports: [{ port: 80, nodePort: 30080 }],
      endpoints: ["far"],
    },
  ],
};

describe.skipIf(reason !== undefined)(
  `svcproxy run, seen from outside${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test.for(["nftables", "iptables"])(
      "with %s a restart changes nothing but the lease of its tables: the kernel tells of no other change",
      async (dataPath, { expect }) => {
        await using host = await openHost();
        const first = runAgent(host, ["--data-path", dataPath]);
        await isFollowing(host);
        const monitor = host.start(["nft", "monitor"]);
        const probe = async (table: string) => {
          await until(
            async () => {
              await host.shell(`nft add table ip ${table}; nft delete table ip ${table}`);
              return monitor.stdout.includes(`add table ip ${table}`);
            },
            () => `nft monitor says nothing: ${monitor.stderr}`,
          );
        };
        await probe("before");
        const begin = monitor.stdout.length;
        expect(await first.kill("SIGTERM")).toBe(0);
        runAgent(host, ["--data-path", dataPath]);
        await isFollowing(host);
        await probe("after");
        const told = monitor.stdout
          .slice(begin)
          .split("\n")
          .filter((line) => line !== "" && !/table ip (?:before|after)$|^# new generation| svcproxy lease /.test(line));
        expect(told).toEqual([]);
      },
    );

    test("told to end while it starts, it ends", async ({ expect }) => {
      await using host = await openHost();
      for (const pauseMs of [40, 80, 120, 160, 200, 250, 300, 400]) {
        const agent = runAgent(host, ["--data-path", "nftables"]);
        await delay(pauseMs);
        // Before it listens to signals, one ends it as it ends any program.
        expect([0, "SIGTERM"]).toContain(await agent.kill("SIGTERM"));
      }
    });

    test.for([
      { dataPath: "iptables", left: "iptables-nft-save -t nat; ip -br link", ours: /KUBE-|SVCPROXY|svcproxy/ },
      {
        dataPath: "userspace",
        left: "ip -br address; ip route show table all",
        ours: /svcproxy0|10\.100\.0\.1|203\.0\.113\.1/,
      },
    ])("--cleanup-on-exit leaves nothing of $dataPath", async ({ dataPath, left, ours }, { expect }) => {
      await using host = await openHost();
      const agent = runAgent(host, ["--data-path", dataPath, "--cleanup-on-exit"]);
      await isFollowing(host);
      expect(await host.shell(left)).toMatch(ours);
      expect(await agent.kill("SIGTERM")).toBe(0);
      expect(await host.shell(left)).not.toMatch(ours);
    });

    test("balancers are told how many endpoints this host has, probes and people how the agent stands", async ({
      expect,
    }) => {
      await using host = await openHost();
      runAgent(host, ["--data-path", "nftables", "--socket-group", "0"]);
      await isFollowing(host);
      expect(await fetchIn(host, "http://192.0.2.1:32100/")).toEqual([
        503,
        { service: { namespace: "default", name: "web" }, localEndpoints: 0, serviceProxyHealthy: true },
      ]);
      await host.writeTopology("services: [");
      await until(
        async () => (await statusOf(host))["state"] === "degraded",
        () => "it is not degraded",
      );
      for (const path of ["healthz", "livez"]) {
        expect(await fetchIn(host, `http://127.0.0.1:10256/${path}`)).toEqual([
          200,
          expect.objectContaining({
            healthy: true,
            ...(path === "healthz" ? { nodeEligible: true } : {}),
            state: "degraded",
            source: expect.objectContaining({ fault: expect.objectContaining({ since: expect.any(String) }) }),
          }),
        ]);
      }
      const [code, text] = await fetchIn(host, "http://127.0.0.1:10249/statusz");
      expect([code, text]).toEqual([200, expect.stringMatching(/^\nsvcproxy statusz\nWarning: .*\n\nStarted: /)]);
      const modes = await host.shell(
        `stat -c '%a %n' ${join(host.folder, "run")}/agent*.sock ${join(host.folder, "run/lock")}`,
      );
      expect(modes.split("\n").map((line) => line.split(" ")[0])).toEqual(["660", "700", ""]);
    });

    test("without root it serves below $XDG_RUNTIME_DIR, and is asked there", async ({ expect }) => {
      await using host = await openHost();
      const runtime = join(host.folder, "xdg");
      await host.shell(`mkdir -m 700 ${runtime} && chown 1000:1000 ${runtime} && chmod 755 ${host.folder}`);
      const asUser = [
        "setpriv",
        "--reuid",
        "1000",
        "--regid",
        "1000",
        "--clear-groups",
        "env",
        `XDG_RUNTIME_DIR=${runtime}`,
      ];
      const topology = join(host.folder, "topology.yaml");
      const agent = host.svcproxy(["run", topology, "--host", "one", "--data-path", "userspace"], asUser);
      await agent.says('"state":"degraded"');
      const status = host.svcproxy(["status"], asUser);
      expect(await status.end()).toBe(3);
      expect(status.stdout).toContain("data path  userspace");
      expect(await host.shell(`stat -c %a ${runtime}/svcproxy/agent*.sock`)).toBe("660\n");
      expect(await agent.kill("SIGTERM")).toBe(0);
    });
  },
);

async function openHost(): Promise<ProxyHost> {
  const host = await ProxyHost.create();
  await host.writeTopology(TOPOLOGY);
  await host.shell("ip link add eth9 type bridge && ip link set eth9 up && ip address add 192.0.2.1/24 dev eth9");
  return host;
}

async function isFollowing(host: ProxyHost): Promise<void> {
  await until(
    async () => (await statusOf(host))["state"] === "following",
    () => "it is not following",
  );
}

/** @returns the code and the body, parsed where it is JSON */
async function fetchIn(host: ProxyHost, url: string): Promise<readonly [number, unknown]> {
  const asked = host.startScript(
    `const response = await fetch(${JSON.stringify(url)});
     process.stdout.write(JSON.stringify([response.status, await response.text()]));`,
  );
  if ((await asked.end()) !== 0) throw new Error(asked.stderr);
  const [code, text]: readonly [number, string] = JSON.parse(asked.stdout);
  return [code, text.startsWith("{") ? JSON.parse(text) : text];
}
