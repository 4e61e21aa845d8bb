import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, type ExpectStatic, test } from "vitest";
import { endOf, runAgent, svcproxy } from "../testing/agent-host.ts";
import { ECHO, holdConnection } from "../testing/held-connection.ts";
import { type HostProgram, ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "conntrack", "unshare", "nsenter", "curl"]);

const HOST = "192.0.2.1";
const VIP = "10.96.0.1";
const DATA_PATHS = ["nftables", "iptables", "userspace"] as const;

/** What takes all or some of ours away, by its program where the kernel tells it. */
const DEEDS = {
  nftables: [{ deed: "nft delete table ip svcproxy", program: "nft" }],
  iptables: [{ deed: "iptables-nft -t nat -F OUTPUT", program: "iptables-nft" }],
  userspace: [
    { deed: `ip address delete ${VIP}/32 dev svcproxy0`, program: undefined },
    { deed: "ip link delete svcproxy0", program: undefined },
    { deed: "ip rule delete pref 93", program: undefined },
  ],
} as const;

describe.skipIf(reason !== undefined)(
  `svcproxy run on every data path${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test.for(DATA_PATHS)(
      "%s serves on whatever becomes of the file, and status --watch and connections tell of it; what takes most away is held back",
      async (dataPath, { expect }) => {
        await using host = await startHost();
        const agent = runAgent(host, ["--data-path", dataPath]);
        await hasState(host, "following");
        const watch = svcproxy(host, ["status", "--watch"]);
        const held = await holdConnection(host, VIP);
        const dialler = await dialWithoutPause(host);
        const path = join(host.folder, "topology.yaml");
        const deeds: readonly (() => Promise<unknown>)[] = [
          () => host.writeTopology("services: ["),
          () => writeFile(path, ""),
          () => host.shell(`rm ${path} && mkfifo ${path}`),
          () => rm(path),
        ];
        for (const [index, spoil] of deeds.entries()) {
          await spoil();
          await hasState(host, "degraded");
          if (index === 0) await watch.says("degraded: ");
          await host.writeTopology(topologyOf(2 + index));
          await hasState(host, "following");
        }
        await watch.says("services   5 of 5 ports in force");
        expect(await watch.kill("SIGINT")).toBe(0);
        const { connections } = JSON.parse(await outputOf(host, ["connections", "web0", "--json"]));
        expect(connections).toContainEqual(
          expect.objectContaining({ service: "default/web0", vip: `${VIP}:80`, endpoint: `${HOST}:8080` }),
        );
        held.signal("SIGUSR2");
        await held.says("answered");
        await held.kill("SIGTERM");
        await dialler.kill("SIGTERM");
        expect(dialler.stdout).toMatch(/lost 0 of [1-9]\d+/);
        await host.writeTopology(topologyOf(15));
        await hasPorts(host, 15);
        await host.writeTopology(topologyOf(2));
        await agent.says("CHANGE_HELD");
        await hasPorts(host, 15);
        expect(await svcproxy(host, ["confirm"]).end()).toBe(0);
        await hasPorts(host, 2);
        expect(await agent.kill("SIGTERM")).toBe(0);
      },
    );

    test.for(DATA_PATHS.flatMap((dataPath) => DEEDS[dataPath].map((row) => ({ dataPath, ...row }))))(
      "with $dataPath, what `$deed` took is served again, counted and named",
      async ({ dataPath, deed, program }, { expect }) => {
        await using host = await startHost();
        runAgent(host, ["--data-path", dataPath]);
        await hasState(host, "following");
        await isTold(host);
        const before = await dump(host, dataPath);
        // What the agent finds by its first look, right after the kernel tells it, nobody is named for; what an apply brings back that
        // happens to come in between is not counted. What nobody brings back cannot be taken away again.
        await until(
          async () => {
            const before = (await statusOf(host)).kernel?.mended ?? 0;
            await host.shell(deed);
            const mended = await nextMended(host, before, 15_000).catch(() => undefined);
            return mended !== undefined && mended.program === program;
          },
          () => `it is not mended after ${program}`,
        );
        await until(
          async () => (await dump(host, dataPath)) === before,
          () => "it is not as it was",
        );
        await isServed(host);
        const { kernel } = await statusOf(host);
        expect(kernel?.lastMended?.what).not.toEqual([]);
      },
    );

    test.for(["iptables", "userspace"] as const)(
      "with %s, who undoes what is mended again and again is let be, and named; then all is served again",
      async (dataPath, { expect }) => {
        await using host = await startHost();
        runAgent(host, ["--data-path", dataPath]);
        await hasState(host, "following");
        await isTold(host);
        const [{ deed }] = DEEDS[dataPath];
        const again = host.start(["sh", "-c", `while :; do ${deed} 2>/dev/null; sleep 0.1; done`]);
        await hasState(host, "degraded");
        await until(
          async () => JSON.stringify(await statusOf(host)).includes("RULES_CONTESTED"),
          () => "nothing is said",
        );
        await again.kill("SIGKILL");
        await isServed(host);
        expect(await outputOf(host, ["status"])).toMatch(/changes what is ours again and again/);
      },
    );

    test.for(["nftables", "iptables"] as const)(
      "from %s to userspace, connections that are open stay, no dial is refused, and what holds them goes with the agent",
      async (dataPath, { expect }) => {
        await using host = await startHost();
        const before = runAgent(host, ["--data-path", dataPath]);
        await hasState(host, "following");
        const held = await holdConnection(host, VIP);
        const dialler = await dialWithoutPause(host);
        expect(await before.kill("SIGTERM")).toBe(0);
        const agent = runAgent(host, ["--data-path", "userspace"]);
        await agent.says(`removed ours from ${dataPath}`);
        await isServed(host);
        held.signal("SIGUSR2");
        await held.says("answered");
        await held.kill("SIGTERM");
        await dialler.kill("SIGTERM");
        expect(dialler.stdout).toMatch(/lost 0 of [1-9]\d+/);
        expect(await host.shell("nft list tables")).toContain("inet svcproxy-held");
        expect(await agent.kill("SIGTERM")).toBe(0);
        expect(await host.shell("nft list tables")).not.toContain("svcproxy");
      },
    );

    test("what a data path cannot do, or another program holds, does not keep what served before it, nor the rest from being kept", async ({
      expect,
    }) => {
      const { hosts, services } = topologyOf(1);
      const sctp = { name: "sctp", clusterIP: "10.96.0.9", ports: [{ port: 80, protocol: "SCTP" }], endpoints: [] };
      // The servers of the tests listen there.
      const taken = {
        name: "taken",
        clusterIP: "10.96.0.8",
        ports: [{ port: 80, nodePort: 8080 }],
        endpoints: ["10.5.0.2:80"],
      };
      await using host = await startHost({ hosts, services: [...services, sctp, taken] });
      const before = runAgent(host, ["--data-path", "nftables"]);
      await hasState(host, "degraded");
      await until(
        async () => "looked" in (await statusOf(host)),
        () => "nobody looks at what keeps services from clients",
      );
      expect(await before.kill("SIGTERM")).toBe(0);
      const agent = runAgent(host, ["--data-path", "userspace"]);
      await agent.says("removed ours from nftables");
      const { ports = [] } = await statusOf(host);
      expect(ports.map((port) => Reflect.get(Object(port), "state")).sort()).toEqual(["failed", "in-force", "refused"]);
      await isServed(host);
    });

    test("userspace, told to end, says how many connections it waits for", async ({ expect }) => {
      await using host = await startHost();
      const agent = runAgent(host, ["--data-path", "userspace"]);
      await hasState(host, "following");
      const held = await holdConnection(host, VIP);
      agent.signal("SIGTERM");
      await expect
        .poll(() => statusOf(host))
        .toMatchObject({ state: "stopping", draining: { connections: 1, udpSessions: 0 } });
      const stdout = await outputOf(host, ["status"]);
      expect(stdout).toContain("services   no new connections; 1 connections and 0 UDP sessions are left, for ");
      await held.kill("SIGTERM");
      expect(await agent.end()).toBe(0);
    });

    test("userspace, killed under connections, leaves no process behind; what is left is named, and the next one serves by it", async ({
      expect,
    }) => {
      await using host = await startHost();
      let agent = runAgent(host, ["--data-path", "userspace"]);
      await hasState(host, "following");
      for (const isFirst of [true, false]) {
        const held = await holdConnection(host, VIP);
        await agent.kill("SIGKILL");
        // Its connections went with it: they are the process' own.
        await held.says("closed");
        await until(
          async () => (await host.shell("ss -Hltnp | grep :80 | grep -v 8080 || true")) === "",
          () => "a worker listens on",
        );
        await noHelperIsLeft(host);
        if (isFirst) await isNamed(expect, host);
        agent = runAgent(host, ["--data-path", "userspace"]);
        await hasState(host, "following");
        const dialler = await dialWithoutPause(host);
        await dialler.kill("SIGTERM");
        expect(dialler.stdout).toMatch(/lost 0 of [1-9]\d+/);
      }
      expect(await agent.kill("SIGTERM")).toBe(0);
      expect(await host.shell("ip -br link; ip rule; ip -6 rule")).not.toMatch(/svcproxy0|proto 83/);
    });
  },
);

/** `status` and `check` say of the VIPs that nobody answers there. */
async function isNamed(expect: ExpectStatic, host: ProxyHost): Promise<void> {
  for (const args of [["status"], ["check", join(host.folder, "topology.yaml")]]) {
    const program = svcproxy(host, args);
    await program.end();
    expect(program.stderr).toMatch(/VIP.* on this host, and no userspace proxy answers there any more \[LEFT_OVER\]/);
  }
}

async function noHelperIsLeft(host: ProxyHost): Promise<void> {
  await until(
    async () => {
      const inHost = await host.shell(
        `for p in /proc/[0-9]*; do [ "$(readlink $p/ns/net)" = "$(readlink /proc/self/ns/net)" ] && tr '\\0' ' ' < $p/cmdline; echo; done 2>/dev/null`,
      );
      return !/userspace worker|ip monitor/.test(inHost);
    },
    () => "a helper runs on",
  );
}

async function startHost(topology: unknown = topologyOf(1)): Promise<ProxyHost> {
  const host = await ProxyHost.create();
  await host.shell(`ip link set lo up; ip address add ${HOST}/24 dev lo; ip route add 10.96.0.0/16 dev lo`);
  await host.writeTopology(topology);
  const echo = host.startScript(ECHO, HOST);
  await echo.says("listening");
  return host;
}

function topologyOf(services: number) {
  return {
    hosts: [{ name: "one", address: HOST }],
    services: Array.from({ length: services }, (_, index) => ({
      name: `web${index}`,
      clusterIP: `10.96.0.${index + 1}`,
      ports: [{ port: 80 }],
      endpoints: [`${HOST}:8080`],
    })),
  };
}

async function outputOf(host: ProxyHost, args: readonly string[]): Promise<string> {
  return (await endOf(svcproxy(host, args))).stdout;
}

interface Status {
  readonly state?: string;
  readonly ports?: readonly unknown[];
  readonly kernel?: Kernel;
}

interface Kernel {
  readonly notice: string;
  readonly mended: number;
  readonly lastMended?: { readonly program?: string; readonly what: readonly string[] };
}

/** What the agent's own socket answers; nothing where none does. */
async function statusOf(host: ProxyHost): Promise<Status> {
  const text = await host.shell(
    `curl -s --unix-socket ${join(host.folder, "run")}/agent-*.sock http://agent/v1/status || true`,
  );
  return text === "" ? {} : JSON.parse(text);
}

async function hasState(host: ProxyHost, state: string): Promise<void> {
  let last: Status = {};
  await until(
    async () => {
      last = await statusOf(host);
      return last.state === state;
    },
    () => `it is not ${state}: ${JSON.stringify(last)}`,
  );
}

async function hasPorts(host: ProxyHost, count: number): Promise<void> {
  await until(
    async () => (await statusOf(host)).ports?.length === count,
    () => `it has not ${count} service ports`,
  );
}

/** Waits until the kernel tells of changes. */
async function isTold(host: ProxyHost): Promise<void> {
  await until(
    async () => (await statusOf(host)).kernel?.notice === "told",
    () => "the kernel tells of nothing",
  );
  // The columns: protocol (0 is what `ip monitor` asks, 12 netfilter), owner, groups.
  await until(
    async () => (await host.shell(`awk '($2 == 0 || $2 == 12) && $4 != "00000000"' /proc/net/netlink`)) !== "",
    () => "the monitor does not listen",
  );
}

/** Waits until more than `before` times something was mended. */
async function nextMended(
  host: ProxyHost,
  before: number,
  patienceMs: number,
): Promise<NonNullable<Kernel["lastMended"]>> {
  let last: Kernel | undefined;
  await until(
    async () => {
      last = (await statusOf(host)).kernel;
      return last !== undefined && last.mended > before;
    },
    () => "it is not mended",
    patienceMs,
  );
  if (last?.lastMended === undefined) throw new Error("nothing is told of what was mended");
  return last.lastMended;
}

/** All that the data path keeps in the kernel. */
function dump(host: ProxyHost, dataPath: (typeof DATA_PATHS)[number]): Promise<string> {
  if (dataPath === "nftables") return host.shell("nft -s list ruleset | sed '/expires/d'");
  if (dataPath === "iptables") return host.shell("iptables-nft-save | sed '/^#/d'");
  return host.shell("ip -o address show dev svcproxy0 | cut -d' ' -f 2-8; ip rule; ip route show table all proto 83");
}

async function isServed(host: ProxyHost): Promise<void> {
  await until(
    async () => (await host.shell(`timeout 2 bash -c 'echo who >/dev/tcp/${VIP}/80' && echo yes || true`)) === "yes\n",
    () => "the VIP is not served",
  );
}

async function dialWithoutPause(host: ProxyHost): Promise<HostProgram> {
  const dialler = host.startScript(DIAL, VIP);
  await dialler.says("going");
  return dialler;
}

/** What is not answered within 10 s, or otherwise, is lost. */
const DIAL = `
  import { connect } from "node:net";
  let dialled = 0, lost = 0;
  function dial() {
    let answer = "";
    const socket = connect(80, process.argv[1], () => socket.write("who"));
    socket.setTimeout(10_000, () => socket.destroy());
    socket.on("error", () => {}).on("data", (data) => { answer += data; socket.end(); });
    socket.on("close", () => {
      if (answer !== "who") lost++;
      if (++dialled === 20) console.log("going");
      setTimeout(dial, 5);
    });
  }
  dial();
  process.on("SIGTERM", () => { console.log("lost " + lost + " of " + dialled); process.exit(); });`;
