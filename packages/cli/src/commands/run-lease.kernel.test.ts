import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "nft"]);
const VIP = "10.100.0.1";
const TOPOLOGY = {
  hosts: [{ name: "one", address: "192.0.2.1", podCIDR: "10.5.75.0/24" }],
  services: [{ name: "web", clusterIP: VIP, ports: [{ port: 80 }], endpoints: ["10.5.75.2:3000"] }],
};

describe.skipIf(reason !== undefined)(
  `what an agent left behind${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test("stands in nobody's way once its lease is over, and the next agent begins a new one", async ({ expect }) => {
      await using host = await ProxyHost.create();
      await host.shell("ip address add 10.5.75.2/24 dev lo; ip route add default dev lo");
      const servers = host.startScript(`import { createServer } from "node:net";
        for (const [port, name] of [[3000, "ours"], [3001, "theirs"]])
          createServer((socket) => socket.on("error", () => {}).end(name)).listen(port, "10.5.75.2", () => console.log(name));`);
      await servers.says("theirs");
      // Asked after ours, as another service proxy's table is that comes back.
      await host.shell(
        `nft 'table ip theirs { chain output { type nat hook output priority -100; ip daddr ${VIP} tcp dport 80 dnat to 10.5.75.2:3001; }; }'`,
      );
      const topology = await host.writeTopology(TOPOLOGY);
      const start = () =>
        host.svcproxy(
          ["run", topology, "--host", "one", "--data-path", "nftables"],
          ["env", `RUNTIME_DIRECTORY=${join(host.folder, "run")}`],
        );
      const answer = async () => {
        const dial = `timeout 20 bash -c 'exec 3<>/dev/tcp/${VIP}/80; cat <&3' || true`;
        return (await host.shell(dial)).trim();
      };
      const isAnsweredBy = (name: string) =>
        until(
          async () => (await answer()) === name,
          () => `${name} does not answer`,
        );
      const agent = start();
      await isAnsweredBy("ours");
      await until(
        async () => /expires (?:7d|6d23h)/.test(await host.shell("nft list set ip svcproxy lease")),
        () => "the lease is not of a week",
      );
      const causes = async (file: string) => {
        const doctor = host.svcproxy(
          ["doctor", file, "--host", "one", "--no-probe", "--json"],
          ["env", `RUNTIME_DIRECTORY=${join(host.folder, "run")}`],
        );
        await doctor.end();
        return (JSON.parse(doctor.stdout) as { readonly causes: readonly Record<string, unknown>[] }).causes;
      };
      // What the doctor is told is newer than what the agent could read.
      const newer = join(host.folder, "newer.yaml");
      const [service] = TOPOLOGY.services;
      await writeFile(
        newer,
        JSON.stringify({ ...TOPOLOGY, services: [{ ...service, endpoints: ["10.5.75.3:3000"] }] }),
      );
      await host.writeTopology("hosts: [");
      await until(
        async () => (await causes(newer)).some(({ code }) => code === "AGENT_BEHIND"),
        () => "an agent that cannot read its source is not named",
      );
      expect(await causes(newer)).toContainEqual(
        expect.objectContaining({
          code: "AGENT_BEHIND",
          evidence: expect.arrayContaining([expect.stringMatching(/^its source has a fault since /)]),
          effects: [expect.objectContaining({ code: "RULES_OUTDATED" })],
        }),
      );
      await host.writeTopology(TOPOLOGY);
      await agent.kill("SIGKILL");
      const check = host.svcproxy(["check", topology], ["env", `RUNTIME_DIRECTORY=${join(host.folder, "run")}`]);
      expect([await check.end(), check.stderr]).toEqual([
        0,
        expect.stringMatching(/No svcproxy run keeps the tables here true; they answer until \d{4}-.* \[LEFT_OVER\]/),
      ]);
      expect(await causes(topology)).toContainEqual(
        expect.objectContaining({
          code: "AGENT_GONE",
          text: expect.stringMatching(/^No svcproxy run keeps the tables/),
        }),
      );
      expect(await answer()).toBe("ours");
      const lease = "element ip svcproxy lease";
      await host.shell(`nft 'delete ${lease} { tcp }; add ${lease} { tcp timeout 1s }'`);
      await isAnsweredBy("theirs");
      const diff = host.svcproxy(["nftables", "diff", topology, "--host", "one"]);
      expect(await diff.end()).toBe(3);
      expect(diff.stdout).toContain("lease");
      const next = start();
      await isAnsweredBy("ours");
      await until(
        async () => /tcp expires 6d23h59m/.test(await host.shell("nft list set ip svcproxy lease")),
        () => "the lease does not begin anew",
      );
      const same = host.svcproxy(["nftables", "diff", topology, "--host", "one"]);
      expect([await same.end(), same.stdout]).toEqual([0, expect.any(String)]);
      await next.kill("SIGTERM");
      // What is applied by hand is meant to stay.
      expect(await host.svcproxy(["nftables", "apply", topology, "--host", "one"]).end()).toBe(0);
      expect(await host.shell("nft list table ip svcproxy")).not.toContain("lease");
      expect(await answer()).toBe("ours");
    });
  },
);
