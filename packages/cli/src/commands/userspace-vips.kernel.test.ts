import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { ProxyHost, until } from "../testing/proxy-host.ts";
import {
  addresses,
  ask,
  DIAL_WITHOUT_PAUSE,
  ECHO,
  OTHER_VIP,
  SPEAK_WHEN_TOLD,
  serving,
  startNamed,
  startSshd,
  topologyOf,
  VIP,
} from "../testing/userspace-host.ts";

const reason = whyNoKernelTests(["ip", "unshare", "nsenter", "curl"]);

describe.skipIf(reason !== undefined)(
  `svcproxy userspace and the addresses of its host${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 300_000 },
  () => {
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
  },
);
