import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { ALONE, ProxyHost } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "iptables-legacy", "unshare"]);

const TOPOLOGY = {
  hosts: [
    {
      ...{ name: "one", address: "192.0.2.1", podCIDR: "10.5.75.0/24" },
      pods: ["2", "3"].map((last) => ({ name: `p${last}`, address: `10.5.75.${last}:3000` })),
    },
  ],
  services: [
    {
      ...{ name: "sticky", clusterIP: "10.100.0.1", ports: [{ port: 80 }], endpoints: ["p2", "p3"] },
      sessionAffinity: "ClientIP",
    },
  ],
};

describe.skipIf(reason !== undefined)(
  `svcproxy doctor${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test.for(["nftables", "iptables"])(
      "a client that %s remembers, and that gets one endpoint alone, is no fault",
      async (dataPath, { expect }) => {
        await using host = await ProxyHost.create();
        const topology = await host.writeTopology(TOPOLOGY);
        await host.shell(`
          ip link add cni0 type bridge && ip link set cni0 up
          for i in 2 3; do ip address add 10.5.75.$i/32 dev cni0; done
          ip route add 10.100.0.0/16 dev cni0 && sysctl -qw net.ipv4.ip_forward=1`);
        const servers = host.startScript(`
          import { createServer } from "node:net";
          const listen = (address) => new Promise((resolve) =>
            createServer((socket) => socket.on("error", () => {}).end()).listen(3000, address, resolve));
          await Promise.all(["10.5.75.2", "10.5.75.3"].map(listen));
          console.log("ready");
        `);
        await servers.says("ready");
        const applied = host.svcproxy([dataPath, "apply", topology, "--host", "one"]);
        expect(await applied.end(), applied.stderr).toBe(0);
        const client = host.startScript(`
          import { connect } from "node:net";
          connect(80, "10.100.0.1").resume();
        `);
        expect(await client.end()).toBe(0);
        // The pods' addresses are this host's own here.
        const doctor = host.svcproxy(["doctor", topology, "--host", "one", "--ignore", "ADDRESS_TWICE"], ALONE);
        expect([await doctor.end(), doctor.stdout]).toEqual([0, expect.stringContaining("no cause found")]);
      },
    );

    test.for([
      ["raw", "iptables-nft -t raw -A PREROUTING -d 10.100.0.1 -j NOTRACK", "rule 1 of raw PREROUTING"],
      [
        "nftables",
        "nft 'add table ip other; add chain ip other in { type filter hook prerouting priority -300; }; add rule ip other in ip daddr 10.100.0.1 notrack'",
        "rule 1 of ip other in",
      ],
    ] as const)("a rule in %s that keeps a service untracked is named", async ([, inject, place], { expect }) => {
      await using host = await ProxyHost.create();
      const topology = await host.writeTopology(TOPOLOGY);
      await host.shell(`
        ip link add cni0 type bridge && ip link set cni0 up && ip address add 10.5.75.1/24 dev cni0
        ip route add 10.100.0.0/16 dev cni0 && sysctl -qw net.ipv4.ip_forward=1`);
      const applied = host.svcproxy(["nftables", "apply", topology, "--host", "one"]);
      expect(await applied.end(), applied.stderr).toBe(0);
      await host.shell(inject);
      const causes = async () => {
        const doctor = host.svcproxy(["doctor", topology, "--host", "one", "--no-probe", "--json"], ALONE);
        await doctor.end();
        return (JSON.parse(doctor.stdout) as { readonly causes: readonly Record<string, unknown>[] }).causes.filter(
          ({ code }) => /RULE/.test(String(code)),
        );
      };
      expect(await causes()).toMatchObject([
        {
          code: "FOREIGN_RULE_UNTRACKS",
          text: `${place} keeps connection tracking from connections to services, so that they are not translated`,
          evidence: [expect.stringMatching(/notrack/i)],
        },
      ]);
    });

    test("a VIP of IPv6 that no rule serves is named with its port as it is dialled", async ({ expect }) => {
      await using host = await ProxyHost.create();
      const topology = await host.writeTopology({
        hosts: [
          {
            ...{ name: "one", addresses: ["192.0.2.1", "2001:db8::1"], podCIDRs: ["fd00:5::/64"] },
            pods: [{ name: "p", address: "[fd00:5::2]:3000" }],
          },
        ],
        services: [{ name: "six", clusterIP: "fd00:9::1", ports: [{ port: 80 }], endpoints: ["p"] }],
      });
      await host.shell(`
        ip link add cni0 type bridge && ip link set cni0 up && ip address add fd00:5::2/64 dev cni0 nodad
        ip route add fd00:9::/64 dev cni0 && sysctl -qw net.ipv6.conf.all.forwarding=1`);
      const doctor = host.svcproxy(["doctor", topology, "--host", "one", "--json"], ALONE);
      expect(await doctor.end()).toBe(3);
      const { causes } = JSON.parse(doctor.stdout);
      expect(causes).toContainEqual(
        expect.objectContaining({
          code: "RULES_MISSING",
          evidence: expect.arrayContaining([expect.stringContaining("dialled at [fd00:9::1]:80 meets")]),
        }),
      );
    });
  },
);
