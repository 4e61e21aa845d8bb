import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { ProxyHost, until } from "../testing/proxy-host.ts";
import {
  AS_NOBODY,
  AS_UNIT,
  addresses,
  ask,
  HOLD_A_CONNECTION,
  OTHER_VIP,
  serving,
  startNamed,
  topologyOf,
  VIP,
} from "../testing/userspace-host.ts";

const reason = whyNoKernelTests(["ip", "unshare", "nsenter", "curl", "setpriv"]);

describe.skipIf(reason !== undefined)(
  `svcproxy userspace${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 300_000 },
  () => {
    test("serves VIPs that it makes local, says once what it cannot do, and leaves the host as it was", async () => {
      await using host = await ProxyHost.create();
      const before = await addresses(host);
      await startNamed(host, "127.0.1.1", "one");
      const proxy = host.svcproxy(["userspace", await host.writeTopology(topologyOf({ sctp: true })), "--host", "a"]);
      await proxy.serves();
      expect(await ask(host, VIP)).toBe("one");
      expect(await addresses(host)).toContain(VIP);
      expect(proxy.stderr.match(/SCTP_UNSERVED/g)).toHaveLength(1);
      expect(proxy.stderr).toContain("serving 1 of 1 frontends; 1 more cannot be served in userspace");
      expect(proxy.stderr).toContain("open files are allowed");
      expect(await proxy.kill("SIGTERM")).toBe(0);
      expect(await addresses(host)).toBe(before);
    });

    test("--watch serves what comes, keeps what stays, and a broken file changes nothing", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      const proxy = await serving(host, topologyOf({}), ["--watch"]);
      const held = host.startScript(HOLD_A_CONNECTION, VIP);
      await held.says("open");
      await host.writeTopology(topologyOf({ vips: [VIP, OTHER_VIP] }));
      await proxy.serves(2);
      expect(await ask(host, OTHER_VIP)).toBe("one");
      await host.writeTopology("services: [");
      await proxy.says("the old plan stays");
      expect(await ask(host, OTHER_VIP)).toBe("one");
      const status = host.svcproxy(["userspace", "status"]);
      expect(await status.end()).toBe(0);
      expect(status.stdout).toContain("the file has a fault, the old plan is served");
      await host.shell(`rm ${host.folder}/topology.yaml`);
      await proxy.says("there is no such file");
      expect(proxy.stderr).not.toContain("    at ");
      await host.writeTopology(topologyOf({}));
      await proxy.serves(3);
      await expect(ask(host, OTHER_VIP)).rejects.toThrow();
      expect(held.stdout).toBe("open\n");
    });

    test("a port that is taken is reported with its holder, stops nobody else, and is tried again", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      const holder = await startNamed(host, "0.0.0.0", "holder", 8001);
      const proxy = await serving(host, topologyOf({ ports: [80, 8001] }));
      expect(await ask(host, VIP)).toBe("one");
      expect(proxy.stderr).toContain(`held by pid ${holder.pid}`);
      // Nor do clients of the VIP get the program that holds it.
      await expect(ask(host, VIP, 8001)).rejects.toThrow();
      expect(await ask(host, "127.0.0.1", 8001)).toBe("holder");
      await holder.kill("SIGKILL");
      await until(
        async () => (await ask(host, VIP, 8001).catch(() => "")) === "one",
        () => "it is not tried again",
      );
    });

    test.skipIf(whyNoKernelTests(["nft", "iptables"]) !== undefined)(
      "rules that are loaded beside it are said to take what is its",
      async () => {
        await using host = await ProxyHost.create();
        await startNamed(host, "127.0.1.1", "one");
        const topology = topologyOf({});
        const proxy = await serving(host, topology);
        const file = await host.writeTopology(topology);
        const where = ["env", `RUNTIME_DIRECTORY=${host.folder}/run`];
        for (const dataPath of ["nftables", "iptables"]) {
          const apply = host.svcproxy([dataPath, "apply", file, "--host", "a"], where);
          expect(await apply.end()).toBe(0);
          expect(apply.stderr).toMatch(/svcproxy userspace \(pid \d+\) serves here too/);
        }
        expect(await proxy.kill("SIGTERM")).toBe(0);
        const alone = host.svcproxy(["iptables", "apply", file, "--host", "a"], where);
        expect(await alone.end()).toBe(0);
        expect(alone.stderr).not.toContain("serves here too");
        expect(proxy.stderr).not.toContain("OTHER_DATA_PATH");
        const late = await serving(host, topology);
        expect(late.stderr).toMatch(/Rules of ours are in nftables and iptables-\w+: they are asked before this proxy/);
      },
    );

    test("--require-all ends where a port is taken, and leaves nothing behind", async () => {
      await using host = await ProxyHost.create();
      const before = await addresses(host);
      await startNamed(host, "0.0.0.0", "holder", 80);
      const file = await host.writeTopology(topologyOf({}));
      const proxy = host.svcproxy(["userspace", file, "--host", "a", "--require-all"]);
      expect(await proxy.end()).toBe(1);
      expect(proxy.stderr).toContain("[FRONTENDS_NOT_SERVED]");
      expect(await addresses(host)).toBe(before);
    });

    test("what no userspace proxy can serve does not keep it from being ready; --require-all says why it ends", async () => {
      await using host = await ProxyHost.create();
      const topology = topologyOf({ sctp: true });
      const proxy = await serving(host, topology, ["--metrics", "127.0.0.1:9464"]);
      expect(await host.shell("curl -sSf http://127.0.0.1:9464/readyz")).toBe("ready\n");
      expect(await proxy.kill("SIGTERM")).toBe(0);
      const strict = host.svcproxy(["userspace", await host.writeTopology(topology), "--host", "a", "--require-all"]);
      expect(await strict.end()).toBe(1);
      expect(strict.stderr).toContain(
        `Cannot serve sctp ${VIP}:80 (Node has no SCTP sockets), and --require-all was given`,
      );
      expect(strict.stderr).toContain("rules can: svcproxy iptables apply");
    });

    test.for([
      { name: "so few that nothing can be run", openFiles: 30, frontends: 1 },
      { name: "as many as its listeners take", openFiles: 64, frontends: 40 },
    ])(
      "with $name ($openFiles open files) it ends with a way out, not with a stack",
      async ({ openFiles, frontends }) => {
        await using host = await ProxyHost.create();
        const before = await addresses(host);
        const ports = Array.from({ length: frontends }, (_, index) => 1_000 + index);
        const file = await host.writeTopology(topologyOf({ ports }));
        const limited = ["sh", "-c", `ulimit -n ${openFiles}; exec "$@"`, "--"];
        const proxy = host.svcproxy(["userspace", file, "--host", "a"], limited);
        expect(await proxy.end()).toBe(1);
        expect(proxy.stderr).toContain(`${openFiles} open files are allowed`);
        expect(proxy.stderr).toContain("hint: Raise the limit first: ulimit -n");
        expect(proxy.stderr).not.toContain("    at ");
        expect(await addresses(host)).toBe(before);
      },
    );

    test("without the right it serves the VIPs that are there and says what would help", async () => {
      await using host = await ProxyHost.create();
      await host.shell(
        `ip address add ${VIP}/32 dev lo && chmod 755 ${host.folder} && install -d -o nobody -m 700 ${host.folder}/run`,
      );
      await startNamed(host, "127.0.1.1", "one");
      const file = await host.writeTopology(topologyOf({ vips: [VIP, OTHER_VIP], ports: [8080] }));
      const proxy = host.svcproxy(["userspace", file, "--host", "a"], AS_NOBODY);
      await proxy.serves();
      expect(await ask(host, VIP, 8080)).toBe("one");
      expect(proxy.stderr).toContain(`${OTHER_VIP} (changing addresses and routes needs CAP_NET_ADMIN)`);
      expect(proxy.stderr).toContain(`sudo ip address add ${OTHER_VIP}/32 dev lo`);
      await proxy.kill("SIGTERM");
      expect(await addresses(host)).toContain(VIP);
      const strict = host.svcproxy(["userspace", file, "--host", "a", "--require-all"], AS_NOBODY);
      expect(await strict.end()).toBe(1);
      expect(strict.stderr).toContain("[FRONTENDS_NOT_SERVED]");
    });

    test("as an ordinary user with the two capabilities of its unit it serves ports below 1024 on VIPs of its own", async () => {
      await using host = await ProxyHost.create();
      const before = await addresses(host);
      await host.shell(`chmod 755 ${host.folder} && install -d -o nobody -m 700 ${host.folder}/run`);
      await startNamed(host, "127.0.1.1", "one");
      await startNamed(host, "::1", "six");
      const file = await host.writeTopology(topologyOf({ ipv6: true }));
      const flags = ["--host", "a", "--require-all", "--vip-range", "fd00:96::/64"];
      const proxy = host.svcproxy(["userspace", file, ...flags], AS_UNIT);
      await proxy.serves();
      expect(await ask(host, VIP)).toBe("one");
      expect(await ask(host, "[fd00:96::1]")).toBe("six");
      expect(await proxy.kill("SIGTERM")).toBe(0);
      expect(await addresses(host)).toBe(before);
    });

    test("metrics, readiness and the access log tell of connections", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      const proxy = await serving(host, topologyOf({}), ["--metrics", "127.0.0.1:9464", "--access-log"]);
      expect(await host.shell("curl -s http://127.0.0.1:9464/readyz")).toBe("ready\n");
      await ask(host, VIP);
      await proxy.says('"msg":"connection"');
      const line: unknown = JSON.parse(proxy.stderr.split("\n").find((text) => text.includes('"connection"')) ?? "");
      expect(line).toMatchObject({ frontend: `tcp ${VIP}:80`, bytesToClient: 3, reason: "done", termination: "--" });
      const metrics = await host.shell("curl -s http://127.0.0.1:9464/metrics");
      expect(metrics).toMatch(/svcproxy_frontend_connections_total\{.*port="80".*\} 1\n/);
      const status = host.svcproxy(["userspace", "status", "--json"]);
      expect(await status.end()).toBe(0);
      expect(JSON.parse(status.stdout)).toMatchObject({ ready: true, host: "a", pid: proxy.pid });
    });

    test("SIGUSR1 opens no inspector, neither in it nor in its workers", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      const proxy = await serving(host, topologyOf({}), ["--workers", "2"]);
      const status = host.svcproxy(["userspace", "status", "--json"]);
      await status.end();
      const pids = [...status.stdout.matchAll(/"pid": (\d+)/g)].map(([, pid]) => pid);
      expect(pids).toHaveLength(3);
      await host.shell(`kill -USR1 ${pids.join(" ")}`);
      expect(await ask(host, VIP)).toBe("one");
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(await host.shell("ss -Hlnt")).not.toContain("9229");
      expect(proxy.stderr).not.toContain("Debugger");
      expect(await ask(host, VIP)).toBe("one");
    });

    test("a log that cannot be written is lost, and nothing else", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      const file = await host.writeTopology(topologyOf({}));
      const onFullDisk = ["sh", "-c", 'exec "$@" 2> /dev/full', "--"];
      const proxy = host.svcproxy(["userspace", file, "--host", "a", "--access-log"], onFullDisk);
      await until(
        () =>
          ask(host, VIP).then(
            (name) => name === "one",
            () => false,
          ),
        () => "it does not serve",
      );
      for (let dial = 0; dial < 5; dial++) expect(await ask(host, VIP)).toBe("one");
      expect(await proxy.kill("SIGTERM")).toBe(0);
      expect(await addresses(host)).not.toContain(VIP);
    });

    test("status without a proxy says so", async () => {
      await using host = await ProxyHost.create();
      const status = host.svcproxy(["userspace", "status"]);
      expect(await status.end()).toBe(1);
      expect(status.stderr).toContain("[NOT_RUNNING]");
    });

    test.for([
      { args: ["--connect-timeout", "soon"], says: "duration" },
      { args: ["--workers", "0"], says: "1 to 256" },
      { args: ["--vip-range", "10.96.0.0/33"], says: "[VIP_RANGE]" },
      { args: ["--vip-range", "0.0.0.0/0"], says: "[VIP_RANGE_TOO_WIDE]" },
      { args: ["--vip-range", "127.0.0.0/8"], says: "[VIP_RANGE_TOO_WIDE]" },
      { args: ["--metrics", "9464"], says: "[METRICS_ADDRESS]" },
      { args: ["--vip-device", "a/b"], says: "[VIP_DEVICE]" },
      { args: ["--host", "nobody"], says: "[UNKNOWN_HOST]" },
      { args: ["--on-remove", "hope"], says: "drain, reset" },
    ])("$args is a mistake with its reason", async ({ args, says }) => {
      await using host = await ProxyHost.create();
      const file = await host.writeTopology(topologyOf({}));
      const proxy = host.svcproxy(["userspace", file, ...(args[0] === "--host" ? [] : ["--host", "a"]), ...args]);
      expect(await proxy.end()).toBe(2);
      expect(proxy.stderr).toContain(says);
      expect(proxy.stderr).not.toContain("    at ");
    });

    test.for([{ args: [] }, { args: ["-", "--watch"] }])("userspace $args needs a file", async ({ args }) => {
      await using host = await ProxyHost.create();
      expect(await host.svcproxy(["userspace", ...args]).end()).toBe(2);
    });

    test("--print-unit prints a unit that runs this command line", async () => {
      await using host = await ProxyHost.create();
      const unit = host.svcproxy(["userspace", "web.yaml", "--host", "a", "--watch", "--print-unit"]);
      expect(await unit.end()).toBe(0);
      expect(unit.stdout).toMatch(/\nExecStart=\/\S+node \/\S+main\.cjs userspace \/\S+\/web\.yaml --host a --watch /);
      expect(unit.stdout).toContain("\nNotifyAccess=all\n");
    });
  },
);
