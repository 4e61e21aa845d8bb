import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { type HostProgram, ProxyHost, until } from "../testing/proxy-host.ts";
import {
  addresses,
  ask,
  DIAL_WITHOUT_PAUSE,
  ECHO,
  HOLD_A_CONNECTION,
  jsonStatus,
  OTHER_VIP,
  SPEAK_WHEN_TOLD,
  serving,
  startNamed,
  topologyOf,
  VIP,
} from "../testing/userspace-host.ts";

const reason = whyNoKernelTests(["ip", "unshare", "nsenter", "curl"]);

describe.skipIf(reason !== undefined)(
  `svcproxy userspace, one process after another${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 300_000 },
  () => {
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
  },
);
