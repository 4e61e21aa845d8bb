import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { type HostProgram, ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "unshare", "nsenter", "curl", "setpriv"]);

const VIP = "10.96.0.1";
const OTHER_VIP = "10.96.0.2";

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

    test("after a kill -9, cleanup mends the host, and is refused while a proxy runs", async () => {
      await using host = await ProxyHost.create();
      const before = await addresses(host);
      const file = await host.writeTopology(topologyOf({}));
      const proxy = host.svcproxy(["userspace", file, "--host", "a", "--vip-range", "fd00:96::/64"]);
      await proxy.serves();
      const refused = host.svcproxy(["userspace", "cleanup"]);
      expect(await refused.end()).toBe(1);
      expect(refused.stderr).toContain(`pid ${proxy.pid}`);
      await proxy.kill("SIGKILL");
      expect(await addresses(host)).not.toBe(before);
      expect(await host.svcproxy(["userspace", "cleanup"]).end()).toBe(0);
      expect(await addresses(host)).toBe(before);
      expect(await host.svcproxy(["userspace", "cleanup"]).end()).toBe(0);
    });

    test("after a kill -9, the next start takes over what is needed and removes the rest", async () => {
      await using host = await ProxyHost.create();
      const before = await addresses(host);
      await (await serving(host, topologyOf({ vips: [VIP, OTHER_VIP] }))).kill("SIGKILL");
      const next = await serving(host, topologyOf({ vips: [VIP] }));
      await until(
        async () => !(await addresses(host)).includes(OTHER_VIP),
        () => "the old VIP stays",
      );
      expect(await addresses(host)).toContain(VIP);
      expect(await next.kill("SIGINT")).toBe(0);
      expect(await addresses(host)).toBe(before);
    });

    test("a second instance is refused and harms nobody", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      const first = await serving(host, topologyOf({}));
      const second = host.svcproxy(["userspace", `${host.folder}/topology.yaml`, "--host", "a"]);
      expect(await second.end()).toBe(1);
      expect(second.stderr).toContain("[ALREADY_RUNNING]");
      expect(second.stderr).toContain(`pid ${first.pid}`);
      expect(await ask(host, VIP)).toBe("one");
    });

    test("--take-over loses no dial, and VIPs and metrics go on", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      const metrics = ["--metrics", "127.0.0.1:9464", "--drain-timeout", "5s"];
      const first = await serving(host, topologyOf({}), metrics);
      const dialler = host.startScript(DIAL_WITHOUT_PAUSE, VIP);
      await dialler.says("going");
      const second = await serving(host, topologyOf({}), [...metrics, "--take-over"]);
      expect(await first.end()).toBe(0);
      await second.says("metrics on port 9464");
      expect(await ask(host, VIP)).toBe("one");
      await dialler.kill("SIGTERM");
      expect(dialler.stdout).toMatch(/lost 0 of [1-9]\d+/);
      expect(await host.shell("curl -s http://127.0.0.1:9464/readyz")).toBe("ready\n");
      expect(await second.kill("SIGTERM")).toBe(0);
      expect(await addresses(host)).not.toContain(VIP);
    });

    test("a reload is a take-over: connections live on in the old process, are listed, and end with a restart", async () => {
      await using host = await ProxyHost.create();
      const echo = host.startScript(ECHO, "127.0.1.1");
      await echo.says("listening");
      const first = await serving(host, topologyOf({ vips: [VIP, OTHER_VIP] }), ["--metrics", "127.0.0.1:9464"]);
      const client = host.startScript(SPEAK_WHEN_TOLD, OTHER_VIP);
      await client.says("open");
      // The VIP of the open connection leaves the plan.
      await host.writeTopology(topologyOf({}));
      expect(await host.svcproxy(["userspace", "reload"]).end()).toBe(0);
      const status = host.svcproxy(["userspace", "status"]);
      expect(await status.end()).toBe(0);
      expect(status.stdout).toMatch(new RegExp(`older generation: pid ${first.pid}, .* 1 connections`));
      await first.says("metrics on port 9464");
      const metrics = await host.shell("curl -s http://127.0.0.1:9464/metrics");
      expect(metrics).toContain("svcproxy_older_generations 1\n");
      expect(metrics).toContain("svcproxy_older_generations_connections 1\n");
      const refused = host.svcproxy(["userspace", "cleanup"]);
      expect(await refused.end()).toBe(1);
      client.signal("SIGUSR2");
      await client.says("answered");
      // It stops the successor, which ends the old one as well, and takes all away.
      const [successor] = /"pid": (\d+)/.exec(await jsonStatus(host))?.slice(1) ?? [];
      await host.shell(`kill -TERM ${successor}; sleep 0.3; kill -TERM ${successor}`);
      expect(await first.end()).toBe(0);
      await until(
        async () => !(await addresses(host)).includes(VIP),
        () => "VIPs stay",
      );
    });

    test("of more than three old processes with connections the oldest is drained", async () => {
      await using host = await ProxyHost.create();
      const echo = host.startScript(ECHO, "127.0.1.1");
      await echo.says("listening");
      const first = await serving(host, topologyOf({}), []);
      const clients: HostProgram[] = [];
      for (let reload = 0; reload < 4; reload++) {
        const client = host.startScript(SPEAK_WHEN_TOLD, VIP);
        await client.says("open");
        clients.push(client);
        expect(await host.svcproxy(["userspace", "reload"]).end()).toBe(0);
      }
      await first.says("the oldest, drains and ends: more than 3 older generations have connections");
      expect(await jsonStatus(host)).toContain('"isDraining": true');
      const [oldest, ...rest] = clients;
      await oldest?.kill("SIGTERM");
      await until(
        async () => !(await jsonStatus(host)).includes(`"pid": ${first.pid},`),
        () => "the oldest stays",
      );
      for (const client of rest) {
        client.signal("SIGUSR2");
        await client.says("answered");
      }
    });

    test("a reload that fails changes nothing, and says so", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      const proxy = await serving(host, topologyOf({}));
      await host.writeTopology("services: [");
      const reload = host.svcproxy(["userspace", "reload"]);
      expect(await reload.end()).toBe(1);
      expect(reload.stderr).toContain("it ended; its log says why; the old one goes on");
      expect(await ask(host, VIP)).toBe("one");
      expect(await proxy.kill("SIGTERM")).toBe(0);
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

    test("a NodePort is served on the host's addresses, also on one that came later, and neither on VIPs nor on loopback", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      await host.shell("ip address add 192.0.2.1/24 dev lo");
      await serving(host, topologyOf({ nodePort: 30_080 }));
      expect(await ask(host, "192.0.2.1", 30_080)).toBe("one");
      await expect(ask(host, VIP, 30_080)).rejects.toThrow();
      await expect(ask(host, "127.0.0.1", 30_080)).rejects.toThrow();
      await host.shell("ip address add 192.0.2.2/24 dev lo");
      await until(
        async () => (await ask(host, "192.0.2.2", 30_080).catch(() => "refused")) === "one",
        () => "the address that came is not served",
      );
    });

    test("without --watch, SIGHUP reads the topology again", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      const proxy = await serving(host, topologyOf({}));
      await host.writeTopology(topologyOf({ vips: [VIP, OTHER_VIP] }));
      proxy.signal("SIGHUP");
      await proxy.serves(2);
      expect(await ask(host, OTHER_VIP)).toBe("one");
    });

    test("SIGTERM lets connections end, and a second one hurries", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      const proxy = await serving(host, topologyOf({}), ["--drain-timeout", "1h"]);
      const held = host.startScript(HOLD_A_CONNECTION, VIP);
      await held.says("open");
      proxy.signal("SIGTERM");
      await proxy.says("draining");
      await until(
        async () => (await ask(host, VIP).catch(() => "refused")) === "refused",
        () => "it still accepts",
      );
      expect(held.stdout).toBe("open\n");
      proxy.signal("SIGTERM");
      expect(await proxy.end()).toBe(0);
      await held.says("closed ECONNRESET");
      expect(await addresses(host)).not.toContain(VIP);
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

    test("a VIP that leaves the plan stays for as long as a connection to an endpoint that stays needs it", async () => {
      await using host = await ProxyHost.create();
      const echo = host.startScript(ECHO, "127.0.1.1");
      await echo.says("listening");
      const proxy = await serving(host, topologyOf({ vips: [VIP, OTHER_VIP] }), ["--watch", "--drain-timeout", "1ms"]);
      const client = host.startScript(SPEAK_WHEN_TOLD, OTHER_VIP);
      await client.says("open");
      await host.writeTopology(topologyOf({}));
      await proxy.serves(2);
      // What is no longer needed is taken away after the drain timeout and a second.
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      client.signal("SIGUSR2");
      await client.says("answered");
      await client.kill("SIGTERM");
      await until(
        async () => !(await addresses(host)).includes(OTHER_VIP),
        () => "the VIP stays",
      );
      expect(await proxy.kill("SIGTERM")).toBe(0);
    });

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

    test("a range is one route; the sysctl for IPv6 is set and put back", async () => {
      await using host = await ProxyHost.create();
      const before = await addresses(host);
      await startNamed(host, "127.0.1.1", "one");
      await startNamed(host, "::1", "six");
      const proxy = await serving(host, topologyOf({ ipv6: true }), [
        "--vip-range",
        "10.96.0.0/16",
        "--vip-range",
        "fd00:96::/64",
      ]);
      expect(await ask(host, VIP)).toBe("one");
      expect(await ask(host, "[fd00:96::1]")).toBe("six");
      expect(await addresses(host)).not.toContain("svcproxy0");
      await proxy.kill("SIGTERM");
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

    test("a NodePort on localhost is on ::1, too", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      await host.shell("ip link set lo up");
      const topology = { ...topologyOf({ nodePort: 30_080 }), node: { localhostNodePorts: true } };
      await serving(host, topology);
      expect(await ask(host, "127.0.0.1", 30_080)).toBe("one");
      expect(await ask(host, "[::1]", 30_080)).toBe("one");
    });

    test("a NodePort on localhost is served on ::1 also where that comes later", async () => {
      await using host = await ProxyHost.create();
      await startNamed(host, "127.0.1.1", "one");
      await host.shell("ip link set lo up; ip address del ::1/128 dev lo");
      await serving(host, { ...topologyOf({ nodePort: 30_080 }), node: { localhostNodePorts: true } });
      expect(await ask(host, "127.0.0.1", 30_080)).toBe("one");
      await host.shell("ip address add ::1/128 dev lo");
      await until(
        async () => (await ask(host, "[::1]", 30_080).catch(() => "")) === "one",
        () => "::1 is not served",
      );
    });

    test("without isolation the programs of the host that VIPs lead to are named, and check says so", async () => {
      await using host = await ProxyHost.create();
      await startSshd(host);
      const proxy = await serving(host, topologyOf({}), ["--no-vip-isolation"]);
      expect(await ask(host, VIP, 22)).toBe("ssh");
      await proxy.says("VIPs lead to programs of this host that listen on all addresses: 22/tcp (");
      expect(proxy.stderr).toContain("VIPs are not isolated: --no-vip-isolation was given");
      expect(await host.shell("ip rule")).toMatch(/^0:\tfrom all lookup local/);
    });

    test("VIPs lead to the services' ports alone; ports come and go on them without a gap, and the host is left as it was", async () => {
      await using host = await ProxyHost.create();
      const before = await host.shell("ip rule; ip -6 rule");
      await startNamed(host, "127.0.1.1", "one");
      await startSshd(host);
      const proxy = await serving(host, topologyOf({}), ["--watch"]);
      expect(proxy.stderr).not.toContain("VIPs lead to programs");
      await expect(ask(host, VIP, 22)).rejects.toThrow();
      const dialler = host.startScript(DIAL_WITHOUT_PAUSE, VIP);
      await dialler.says("going");
      await host.writeTopology(topologyOf({ ports: [80, 81] }));
      await proxy.serves(2);
      expect(await ask(host, VIP, 81)).toBe("one");
      await host.writeTopology(topologyOf({}));
      await proxy.serves(3);
      await expect(ask(host, VIP, 81)).rejects.toThrow();
      await dialler.kill("SIGTERM");
      expect(dialler.stdout).toMatch(/lost 0 of [1-9]\d+/);
      await proxy.kill("SIGKILL");
      await expect(ask(host, VIP, 22)).rejects.toThrow();
      expect(await host.svcproxy(["userspace", "cleanup"]).end()).toBe(0);
      expect(await host.shell("ip rule; ip -6 rule")).toBe(before);
    });

    test("--vip-isolation ends where another program keeps it from that, and leaves nothing behind", async () => {
      await using host = await ProxyHost.create();
      await host.shell("ip rule add pref 1 lookup local");
      const before = await host.shell("ip rule; ip -6 rule; ip address");
      const file = await host.writeTopology(topologyOf({}));
      const proxy = host.svcproxy(["userspace", file, "--host", "a", "--vip-isolation"]);
      expect(await proxy.end()).toBe(1);
      expect(proxy.stderr).toContain("another program looks up local addresses first, by its rule 1");
      expect(proxy.stderr).toContain("[VIPS_NOT_ISOLATED]");
      expect(await host.shell("ip rule; ip -6 rule; ip address")).toBe(before);
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

const AS_NOBODY = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];

const UNIT_CAPABILITIES = "-all,+net_admin,+net_bind_service";
const AS_UNIT = [
  ...["setpriv", "--reuid=65534", "--clear-groups", "--no-new-privs"],
  ...[`--bounding-set=${UNIT_CAPABILITIES}`, `--inh-caps=${UNIT_CAPABILITIES}`, `--ambient-caps=${UNIT_CAPABILITIES}`],
];

async function jsonStatus(host: ProxyHost): Promise<string> {
  const status = host.svcproxy(["userspace", "status", "--json"]);
  await status.end();
  return status.stdout;
}

/** Listens on all addresses, as the host's own programs do. */
async function startSshd(host: ProxyHost): Promise<void> {
  const sshd = host.startScript(`
    import { createServer } from "node:net";
    createServer((socket) => socket.end("ssh")).listen(22, "0.0.0.0", () => console.log("up"));`);
  await sshd.says("up");
}

/** Tells the name to whoever connects. */
async function startNamed(host: ProxyHost, address: string, name: string, port = 8080): Promise<HostProgram> {
  const script = `
    import { createServer } from "node:net";
    const [address, name, port] = process.argv.slice(1);
    createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      socket.once("data", (data) => (String(data) === "hold" ? socket.write("held") : socket.end(name)));
    }).listen(Number(port), address, () => console.log("listening"));`;
  const server = host.startScript(script, address, name, String(port));
  await server.says("listening");
  return server;
}

/** Keeps a connection open, and says when and how it ends. */
const HOLD_A_CONNECTION = `
  import { connect } from "node:net";
  let code = "";
  const socket = connect(80, process.argv[1], () => socket.write("hold"));
  socket.once("data", () => console.log("open"));
  socket.on("error", (error) => { code = error.code; }).on("close", () => console.log("closed " + code));`;

const ECHO = `
  import { createServer } from "node:net";
  createServer((socket) => socket.pipe(socket)).listen(8080, process.argv[1], () => console.log("listening"));`;

/** Speaks once at its start and once for each SIGUSR2, and says what is answered. */
const SPEAK_WHEN_TOLD = `
  import { connect } from "node:net";
  const socket = connect(80, process.argv[1], () => socket.write("hello"));
  socket.once("data", () => {
    console.log("open");
    socket.on("data", () => console.log("answered"));
  });
  process.on("SIGUSR2", () => socket.write("again"));`;

/** Dials one after the other until SIGTERM, then says how many got no answer. */
const DIAL_WITHOUT_PAUSE = `
  import { connect } from "node:net";
  let dialled = 0, lost = 0;
  function dial() {
    let answer = "";
    const socket = connect(80, process.argv[1], () => socket.write("who"));
    socket.on("data", (data) => { answer += data; }).on("error", () => {});
    socket.on("close", () => {
      dialled++;
      if (answer !== "one") lost++;
      if (dialled === 20) console.log("going");
      setImmediate(dial);
    });
  }
  for (let index = 0; index < 8; index++) dial();
  process.on("SIGTERM", () => { console.log("lost " + lost + " of " + dialled); process.exit(); });`;

async function serving(host: ProxyHost, topology: unknown, flags: readonly string[] = []): Promise<HostProgram> {
  const proxy = host.svcproxy(["userspace", await host.writeTopology(topology), "--host", "a", ...flags]);
  await proxy.serves();
  return proxy;
}

/** What the server behind a VIP answers. @throws where it is refused or reset */
async function ask(host: ProxyHost, address: string, port = 80): Promise<string> {
  return host.shell(`printf who | curl -sS -m 10 --no-buffer telnet://${address}:${port}`);
}

/** All that is local: addresses, local routes, and the sysctl for IPv6 ranges. */
function addresses(host: ProxyHost): Promise<string> {
  return host.shell(
    "ip -o address show; ip route show table local; ip -6 route show table local; cat /proc/sys/net/ipv6/ip_nonlocal_bind",
  );
}

interface TopologyUnderTest {
  readonly vips?: readonly string[];
  readonly ports?: readonly number[];
  readonly sctp?: boolean;
  readonly ipv6?: boolean;
  readonly nodePort?: number;
}

/** Host a; a service for each VIP with the endpoint 127.0.1.1:8080. */
function topologyOf({ vips = [VIP], ports = [80], sctp = false, ipv6 = false, nodePort }: TopologyUnderTest): object {
  const services = vips.map((vip, index) => ({
    name: `web${index}`,
    clusterIP: vip,
    ports: [
      ...ports.map((port) => ({ name: `p${port}`, port, ...(nodePort === undefined ? {} : { nodePort }) })),
      ...(sctp ? [{ name: "sctp", port: 80, protocol: "SCTP" }] : []),
    ],
    endpoints: ["127.0.1.1:8080"],
  }));
  const six = { name: "six", clusterIP: "fd00:96::1", ports: [{ port: 80 }], endpoints: ["[::1]:8080"] };
  return {
    hosts: [{ name: "a", address: "192.0.2.1" }],
    services: ipv6 ? [...services, six] : services,
  };
}
