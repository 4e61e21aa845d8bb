import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { endOf, hasState, runAgent, statusOf, svcproxy } from "../testing/agent-host.ts";
import { type HostProgram, ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "iptables-legacy"]);

describe.skipIf(reason !== undefined)(
  `svcproxy run${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test("follows its file, and keeps what was in force while that is broken, empty, a pipe or gone", async ({
      expect,
    }) => {
      await using host = await ProxyHost.create();
      const path = await host.writeTopology(topologyOf(3));
      const agent = runAgent(host);
      await serves(host, 3);
      await host.writeTopology(topologyOf(5));
      await serves(host, 5);
      const spoilt: readonly (readonly [string, () => Promise<unknown>])[] = [
        ["broken", () => host.writeTopology("services: [")],
        ["empty", () => writeFile(path, "")],
        ["a pipe", () => host.shell(`rm ${path} && mkfifo ${path}`)],
        ["gone", () => rm(path)],
      ];
      for (const [, spoil] of spoilt) {
        await host.writeTopology(topologyOf(5));
        await hasState(host, "following");
        await spoil();
        await hasState(host, "degraded");
        expect(await servedCount(host)).toBe(5);
      }
      await host.writeTopology(topologyOf(6));
      await serves(host, 6);
      expect(await agent.kill("SIGTERM")).toBe(0);
    });

    test("touches nothing while its file was never readable, and serves once it is", async ({ expect }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology("");
      const agent = runAgent(host);
      await agent.says("nothing is served yet");
      expect(await host.shell("nft list ruleset")).toBe("");
      expect(await statusOf(host)).toMatchObject({ state: "starting" });
      await host.writeTopology(topologyOf(2));
      await serves(host, 2);
    });

    test.for([
      { dataPath: "nftables", deed: "nft flush ruleset", program: "nft", teller: "perl" },
      { dataPath: "nftables", deed: "nft flush map ip svcproxy services", program: "nft", teller: "perl" },
      { dataPath: "iptables", deed: "iptables-nft -t nat -F PREROUTING", program: "iptables-nft", teller: "perl" },
      { dataPath: "iptables", deed: "nft flush ruleset", program: "nft", teller: "perl" },
      { dataPath: "iptables", deed: "iptables-nft -t nat -F PREROUTING", program: "iptables-nft", teller: "nft" },
    ])(
      "with $dataPath, what `$deed` took is back, counted and named; $teller tells of it",
      async ({ dataPath, deed, program, teller }, { expect }) => {
        await using host = await ProxyHost.create();
        await host.writeTopology(topologyOf(3));
        const tools = await toolsWithout(host, teller === "nft" ? ["perl"] : []);
        const agent = runAgent(host, ["--data-path", dataPath], [`PATH=${tools}`]);
        await hasState(host, "following");
        await isTold(host);
        await host.shell(deed);
        await agent.says("changed what is ours; mended");
        // By meaning; what the change left over goes a second later.
        const diff = [dataPath, "diff", join(host.folder, "topology.yaml"), "--host", "one"];
        await until(
          async () => (await endOf(svcproxy(host, diff))).code === 0,
          () => "it is not as it was",
        );
        expect(await statusOf(host)).toMatchObject({
          state: "following",
          kernel: { mended: 1, lastMended: { program } },
        });
      },
    );

    test("what keeps services from their clients is in its status, with evidence and remedy", async ({ expect }) => {
      await using host = await ProxyHost.create();
      await host.shell("ip link set lo up; ip link add cni0 type bridge; ip link set cni0 up");
      await host.shell("ip addr add 10.5.75.1/24 dev cni0; sysctl -qw net.ipv4.ip_forward=0");
      await host.writeTopology(topologyOf(2));
      const agent = runAgent(host);
      await hasState(host, "following");
      let problems: unknown;
      await until(
        async () => {
          ({ problems } = await statusOf(host));
          return JSON.stringify(problems).includes("ip_forward is 0");
        },
        () => "the status does not say that the host forwards nothing",
      );
      expect(problems).toContainEqual(
        expect.objectContaining({
          subject: "sysctl net.ipv4.ip_forward",
          evidence: ["net.ipv4.ip_forward is 0"],
          remedy: ["sysctl -w net.ipv4.ip_forward=1"],
        }),
      );
      expect((await endOf(svcproxy(host, ["status"]))).stdout).toContain("seen: net.ipv4.ip_forward is 0");
      await agent.says("FORWARDING_OFF");
    });

    test("a table of somebody else that changes all the time costs no look", async () => {
      await using host = await ProxyHost.create();
      await host.writeTopology(topologyOf(3));
      const agent = runAgent(host, ["--data-path", "nftables"]);
      await hasState(host, "following");
      await isTold(host);
      await host.shell("nft add table ip theirs; nft add set ip theirs s '{ type ipv4_addr; }'");
      // A look that has nothing to do with it may come in between, once.
      await until(
        async () => {
          const before = await host.shell(timeOfHelpers(agent));
          await host.shell("nft flush set ip theirs s");
          await host.shell("for i in $(seq 20); do nft add element ip theirs s { 10.0.0.$i }; done; sleep 0.3");
          return (await host.shell(timeOfHelpers(agent))) === before;
        },
        () => "helpers of the agent run each time",
      );
    });

    test("status tells of a service where it leads and since when, and is shown again when that changes", async ({
      expect,
    }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology(topologyOf(2));
      const first = runAgent(host, ["--data-path", "nftables"]);
      await hasState(host, "following");
      const watch = svcproxy(host, ["status", "--service", "web1", "--watch"]);
      await watch.says("10.5.75.3:3000");
      const { stdout } = await endOf(svcproxy(host, ["status", "--service", "default/web1", "--json"]));
      expect(JSON.parse(stdout)).toMatchObject({
        ports: [
          {
            ...{ service: "default/web1", state: "in-force" },
            frontends: [{ kind: "clusterIP", address: "10.100.0.2:80" }],
            endpoints: [{ address: "10.5.75.3:3000", ready: true }],
          },
        ],
      });
      await host.writeTopology(JSON.stringify(topologyOf(2)).replace("10.5.75.3:3000", "10.5.75.9:3000"));
      await watch.says("10.5.75.9:3000");
      await first.kill("SIGKILL");
      await watch.says("waiting for it");
      runAgent(host, ["--data-path", "nftables"]);
      await until(
        async () => watch.stdout.split("10.5.75.9:3000").length > 2,
        () => "the status of the next agent is not shown",
      );
      expect(await watch.kill("SIGINT")).toBe(0);
      expect(await endOf(svcproxy(host, ["status", "--service", "web9"]))).toMatchObject({ code: 2 });
    });

    test("a second one names the first, and changes nothing", async ({ expect }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology(topologyOf(3));
      const first = runAgent(host);
      await serves(host, 3);
      const second = runAgent(host);
      expect(await second.end()).toBe(1);
      expect(second.stderr).toContain("runs svcproxy run in this network namespace [ALREADY_RUNNING]");
      const cleanup = await endOf(svcproxy(host, ["cleanup"]));
      expect([cleanup.code, cleanup.stderr]).toEqual([1, expect.stringContaining("[ALREADY_RUNNING]")]);
      for (const command of ["nftables apply", "iptables apply", "userspace", "nftables cleanup", "iptables cleanup"]) {
        const args = !command.includes("cleanup") ? [join(host.folder, "topology.yaml"), "--host", "one"] : [];
        const { code, stderr } = await endOf(svcproxy(host, [...command.split(" "), ...args]));
        expect([command, code, stderr]).toEqual([
          command,
          1,
          expect.stringContaining(`pid ${first.pid} runs svcproxy run`),
        ]);
      }
      expect(await servedCount(host)).toBe(3);
      expect(second.stderr).toContain(`pid ${(await statusOf(host))["pid"]}`);
      expect(await first.kill("SIGTERM")).toBe(0);
    });

    test("beside a kube-proxy it does not start, and changes nothing; its rules alone keep it from that, too", async ({
      expect,
    }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology(topologyOf(3));
      const answer = JSON.stringify({ lastUpdated: "x", currentTime: "x", nodeEligible: true });
      const kubeProxy = host.startScript(
        `import { createServer } from "node:http";
        createServer((_, response) => response.end(${JSON.stringify(answer)})).listen(10256, "0.0.0.0", () => console.log("ready"));`,
      );
      await kubeProxy.says("ready");
      await host.shell("nft add table ip6 kube-proxy");
      const before = await host.shell("nft list ruleset");
      const agent = runAgent(host, ["--healthz-bind-address", "none"]);
      expect(await agent.end()).toBe(1);
      expect(agent.stderr).toContain(
        "kube-proxy serves this host (port 10256, which answers as its health port does, table ip6 kube-proxy) [KUBE_PROXY_FOUND]",
      );
      expect(await host.shell("nft list ruleset")).toBe(before);
      await kubeProxy.kill("SIGKILL");
      expect(await runAgent(host).end()).toBe(1);
      await host.shell("nft delete table ip6 kube-proxy");
      runAgent(host);
      await serves(host, 3);
    });

    test("one bad service, and one that takes another's VIP, are refused and named, and hold up no other", async ({
      expect,
    }) => {
      await using host = await ProxyHost.create();
      const topology = topologyOf(3);
      await host.writeTopology(topology);
      const agent = runAgent(host, ["--data-path", "nftables"]);
      await serves(host, 3);
      const [first, second, third] = topology.services;
      await host.writeTopology({
        ...topology,
        services: [
          { ...first, ports: [{ port: 0 }] },
          { ...second, endpoints: ["10.5.75.99:3000"] },
          third,
          { ...third, name: "new" },
        ],
      });
      await hasState(host, "degraded");
      await until(
        async () => (await host.shell("nft list table ip svcproxy")).includes("10.5.75.99"),
        () => "the good service is held up",
      );
      expect(await servedCount(host)).toBe(3);
      expect(await statusOf(host)).toMatchObject({
        source: {
          refused: [
            { entry: "service default/web0", isKept: true, problems: [{ code: "PORT_OUT_OF_RANGE" }] },
            { entry: "service default/new", isKept: false, problems: [{ code: "DUPLICATE_FRONTEND" }] },
          ],
        },
      });
      const { stdout } = await endOf(svcproxy(host, ["status"]));
      expect(stdout).toMatch(/service default\/web0: refused for \d+ s, its last good state stays/);
      // Nor does a new agent, which never saw it well, take it away.
      await agent.kill("SIGKILL");
      runAgent(host, ["--data-path", "nftables"]);
      await hasState(host, "degraded");
      expect(await servedCount(host)).toBe(3);
      await host.writeTopology(topology);
      await hasState(host, "following");
    });

    test("a change that takes most away is held back, also by one that starts with it, until it is confirmed", async ({
      expect,
    }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology(topologyOf(15));
      const first = runAgent(host, ["--data-path", "nftables"]);
      await serves(host, 15);
      await host.writeTopology(topologyOf(2));
      await first.says("CHANGE_HELD");
      expect(await servedCount(host)).toBe(15);
      expect(await first.kill("SIGTERM")).toBe(0);
      const second = runAgent(host, ["--data-path", "nftables"]);
      await second.says("CHANGE_HELD");
      expect(await servedCount(host)).toBe(15);
      expect(await endOf(svcproxy(host, ["confirm"]))).toMatchObject({ code: 0 });
      await serves(host, 2);
      expect(await endOf(svcproxy(host, ["confirm"]))).toMatchObject({ code: 1 });
    });

    test.for([
      { by: "nftables", now: "nftables", why: "held back", list: NFTABLES_RULES },
      { by: "iptables", now: "iptables", why: "held back", list: IPTABLES_RULES },
      { by: "iptables", now: "nftables", why: "broken", list: IPTABLES_RULES },
      { by: "nftables", now: "userspace", why: "held back", list: NFTABLES_RULES },
    ])(
      "while the first plan of $now is $why, what $by had in force is put back after a foreign flush",
      async ({ by, now, why, list }, { expect }) => {
        await using host = await ProxyHost.create();
        await host.writeTopology(topologyOf(15));
        const first = runAgent(host, ["--data-path", by]);
        await hasState(host, "following");
        expect(await first.kill("SIGTERM")).toBe(0);
        await host.writeTopology(why === "broken" ? "services: [" : topologyOf(2));
        const second = runAgent(host, ["--data-path", now]);
        await second.says(why === "broken" ? "what was in force at the start stays" : "CHANGE_HELD");
        const before = await host.shell(list);
        expect(before).toContain("10.100.0.15");
        await isTold(host);
        await host.shell("nft flush ruleset");
        await second.says("changed what is ours; mended");
        expect(await host.shell(list)).toBe(before);
        expect(await statusOf(host)).toMatchObject({ kernel: { mended: 1, lastMended: { program: "nft" } } });
        // What others have beside it is none of its business.
        await host.shell("iptables-nft -t nat -I PREROUTING -d 198.51.100.1");
        if (why === "broken") {
          await host.writeTopology(topologyOf(2));
          await second.says("CHANGE_HELD");
        }
        expect(await endOf(svcproxy(host, ["confirm"]))).toMatchObject({ code: 0 });
        await hasState(host, "following");
        await until(
          async () => !(await host.shell("nft list ruleset")).includes("10.100.0.15"),
          () => "what was to go is still there",
        );
        expect(await statusOf(host)).toMatchObject({ kernel: { mended: 1 } });
      },
    );

    test("whoever removes its socket, or the whole directory, keeps nobody from asking, and lets no second one begin", async ({
      expect,
    }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology(topologyOf(1));
      const agent = runAgent(host, ["--data-path", "nftables"]);
      await hasState(host, "following");
      const directory = join(host.folder, "run");
      for (const [index, what] of [`${directory}/agent-*.sock`, directory].entries()) {
        await host.shell(`rm -r ${what}`);
        await until(
          async () => agent.stderr.split("was removed by another program, and is made anew").length > index + 1,
          () => "it does not see it",
        );
        await hasState(host, "following");
        expect(await endOf(runAgent(host))).toMatchObject({
          code: 1,
          stderr: expect.stringContaining("ALREADY_RUNNING"),
        });
      }
      agent.signal("SIGUSR1");
      await hasState(host, "following");
      expect(await agent.kill("SIGTERM")).toBe(0);
      expect(agent.stderr).not.toContain("Debugger");
      const next = runAgent(host);
      await hasState(host, "following");
      expect(await next.kill("SIGTERM")).toBe(0);
    });

    test("SIGTERM ends it with its rules in place, and to start it again changes nothing in the kernel", async ({
      expect,
    }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology(topologyOf(3));
      const first = runAgent(host);
      await hasState(host, "following");
      const before = await host.shell("nft -sa list ruleset");
      expect(await first.kill("SIGTERM")).toBe(0);
      expect(await host.shell("nft -sa list ruleset")).toBe(before);
      for (let round = 0; round < 3; round++) {
        const killed = runAgent(host);
        await hasState(host, "following");
        await killed.kill("SIGKILL");
      }
      runAgent(host);
      await hasState(host, "following");
      expect(await host.shell("nft -sa list ruleset")).toBe(before);
    });

    test("another data path serves first, then what is ours of the old one goes", async ({ expect }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology(topologyOf(3));
      const first = runAgent(host, ["--data-path", "iptables"]);
      await hasState(host, "following");
      await first.kill("SIGTERM");
      expect(await host.shell("iptables-nft-save")).toContain("KUBE-SVC-");
      const second = runAgent(host, ["--data-path", "nftables"]);
      await second.says("nftables serves now; removed ours from iptables");
      expect(await host.shell("iptables-nft-save")).not.toContain("KUBE-");
      expect(await servedCount(host)).toBe(3);
      expect(await second.kill("SIGTERM")).toBe(0);
    });

    test.for([
      { notice: "told", without: ["nft"] },
      { notice: "looking", without: ["nft", "perl"] },
    ])("without nft it takes iptables, and says why; of changes it has notice by: $notice", async (row, { expect }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology(topologyOf(3));
      runAgent(host, [], [`PATH=${await toolsWithout(host, row.without)}`]);
      await hasState(host, "following");
      expect(await statusOf(host)).toMatchObject({
        dataPath: "iptables",
        passedOver: [expect.stringContaining("not nftables: Cannot run nft")],
        kernel: { notice: row.notice },
      });
    });

    test("killed, it leaves no helper behind, and status names what serves on without it", async ({ expect }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology(topologyOf(3));
      const agent = runAgent(host, ["--data-path", "nftables"]);
      await hasState(host, "following");
      await isTold(host);
      const helpers = `pgrep -P ${agent.pid} -f 'tells svcproxy of changes' || true`;
      const helper = (await host.shell(helpers)).trim();
      expect(helper).toMatch(/^\d+$/);
      await agent.kill("SIGKILL");
      await until(
        async () => (await host.shell(`kill -0 ${helper} 2>/dev/null && echo there || true`)) === "",
        () => "the helper runs on",
      );
      const { code, stderr } = await endOf(svcproxy(host, ["status"]));
      expect(code).toBe(1);
      expect(stderr).toContain("nftables serves 3 VIPs by 3 endpoints here, and no agent keeps that true");
    });

    test("--cleanup-on-exit leaves nothing of ours", async ({ expect }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology(topologyOf(3));
      const agent = runAgent(host, ["--data-path", "nftables", "--cleanup-on-exit"]);
      await hasState(host, "following");
      expect(await agent.kill("SIGTERM")).toBe(0);
      expect(await host.shell("nft list ruleset")).not.toContain("svcproxy");
    });
  },
);

const NFTABLES_RULES = "nft -s list table ip svcproxy";
/** In a fixed order, without counters. */
const IPTABLES_RULES = "iptables-nft-save -t nat | sed 's/\\[.*//' | grep -v '^#' | sort";

function topologyOf(services: number) {
  return {
    hosts: [{ name: "one", address: "192.0.2.1", podCIDR: "10.5.75.0/24" }],
    services: Array.from({ length: services }, (_, index) => ({
      name: `web${index}`,
      clusterIP: `10.100.0.${index + 1}`,
      ports: [{ port: 80 }],
      endpoints: [`10.5.75.${index + 2}:3000`],
    })),
  };
}

/** Waits until the kernel tells the agent of changes, and gives it time to look for what came before. */
async function isTold(host: ProxyHost): Promise<void> {
  await until(
    async () => JSON.stringify((await statusOf(host))["kernel"]).includes("told"),
    () => "the kernel tells of nothing",
  );
  // Its helper's socket is in a group then. The columns: protocol (12 is netfilter), owner, groups.
  await until(
    async () => (await host.shell(`awk '$2 == 12 && $4 != "00000000"' /proc/net/netlink`)) !== "",
    () => "no helper listens",
  );
  await host.shell("sleep 1");
}

/** A folder of all this machine's tools but some, for PATH. */
async function toolsWithout(host: ProxyHost, names: readonly string[]): Promise<string> {
  const tools = join(host.folder, "tools");
  const all = "$(ls -d /usr/bin/* /usr/sbin/* | sort -t/ -uk4)";
  await host.shell(`mkdir ${tools} && ln -st ${tools} ${all}; cd ${tools}; rm -f ${names.join(" ")}`);
  return tools;
}

/** A command that prints the processor time of the agent's helpers that ended. */
function timeOfHelpers(agent: HostProgram): string {
  return `cut -d' ' -f16,17 /proc/${agent.pid}/stat`;
}

async function servedCount(host: ProxyHost): Promise<number> {
  const text = await host.shell("nft list map ip svcproxy services 2>/dev/null || true");
  return text.match(/\. tcp \. 80\b/g)?.length ?? 0;
}

async function serves(host: ProxyHost, services: number): Promise<void> {
  await until(
    async () => (await servedCount(host)) === services,
    () => `it does not serve ${services} services`,
  );
}
