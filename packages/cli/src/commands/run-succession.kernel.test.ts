import { join } from "node:path";
import process from "node:process";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, inject, test } from "vitest";
import { ECHO, holdConnection } from "../testing/held-connection.ts";
import { type HostProgram, ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "nft", "unshare", "nsenter"]);

const HOST = "192.0.2.1";
const VIP = "10.96.0.1";
const NODE_PORT = 30_080;

describe.skipIf(reason !== undefined)(
  `svcproxy run in the place of another${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test("a reload with the userspace data path is a take-over: open connections stay, no dial is refused", async () => {
      await using host = await startHost();
      const first = runAgent(host, ["--data-path", "userspace"]);
      await first.says('"state":"following"');
      const held = await holdConnection(host, VIP);
      const dialler = await dialWithoutPause(host);
      first.signal("SIGHUP");
      await first.says("another agent serves in the place of this one");
      await until(
        async () => /^following: .* pid (?!0)/.test(await status(host)),
        () => "nobody can be asked",
      );
      const told = await status(host);
      expect(told.split("\n")[0]).not.toContain(`pid ${first.pid},`);
      expect(told).toMatch(new RegExp(`^older {6}pid ${first.pid}, taken over \\d+ s ago: [1-9]\\d* connections`, "m"));
      held.signal("SIGUSR2");
      await held.says("answered");
      await dialler.kill("SIGTERM");
      expect(dialler.stdout).toMatch(/lost 0 of [1-9]\d+/);
    });

    test("from userspace to rules with --take-over: NodePorts included, open connections stay, and VIPs go with them", async () => {
      await using host = await startHost();
      // As on a host where something tracks connections already; else those that are open would be new to conntrack.
      await host.shell(
        "nft 'table ip other { chain in { type filter hook input priority 0; ct state established counter; }; }'",
      );
      const first = runAgent(host, ["--data-path", "userspace"]);
      await first.says('"state":"following"');
      const held = await holdConnection(host, VIP);
      const dialler = await dialWithoutPause(host);
      const second = runAgent(host, ["--data-path", "nftables", "--take-over"]);
      await second.says("health on port");
      expect(second.stderr).not.toContain("NODE_PORT_TAKEN");
      expect(await status(host)).toContain(`pid ${second.pid},`);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      held.signal("SIGUSR2");
      await held.says("answered");
      await dialler.kill("SIGTERM");
      expect(dialler.stdout).toMatch(/lost 0 of [1-9]\d+/);
      expect(await host.shell("ip -br link")).toContain("svcproxy0");
      await held.kill("SIGTERM");
      expect(await first.end()).toBe(0);
      expect(await host.shell("ip -br link")).not.toContain("svcproxy0");
      expect(await second.kill("SIGTERM")).toBe(0);
      expect(await host.shell("nft list tables")).toContain("svcproxy");
    });

    test("without --take-over a second one is refused, and told of it", async () => {
      await using host = await startHost();
      const first = runAgent(host, ["--data-path", "userspace"]);
      await first.says('"state":"following"');
      const second = runAgent(host, ["--data-path", "nftables"]);
      expect(await second.end()).toBe(1);
      expect(second.stderr).toContain("take its place with --take-over");
      expect(await first.kill("SIGTERM")).toBe(0);
    });
  },
);

async function startHost(): Promise<ProxyHost> {
  const host = await ProxyHost.create();
  await host.shell(`ip link set lo up; ip address add ${HOST}/24 dev lo; ip route add 10.96.0.0/16 dev lo`);
  await host.writeTopology({
    hosts: [{ name: "one", address: HOST }],
    services: [
      { name: "web", clusterIP: VIP, ports: [{ port: 80, nodePort: NODE_PORT }], endpoints: [`${HOST}:8080`] },
    ],
  });
  const echo = host.startScript(ECHO, HOST);
  await echo.says("listening");
  return host;
}

function runAgent(host: ProxyHost, flags: readonly string[]): HostProgram {
  return svcproxy(host, ["run", join(host.folder, "topology.yaml"), "--host", "one", ...flags]);
}

function svcproxy(host: ProxyHost, args: readonly string[]): HostProgram {
  const place = `RUNTIME_DIRECTORY=${join(host.folder, "run")}`;
  return host.start(["env", place, process.execPath, inject("program"), ...args]);
}

async function status(host: ProxyHost): Promise<string> {
  const program = svcproxy(host, ["status"]);
  await program.end();
  return program.stdout;
}

async function dialWithoutPause(host: ProxyHost): Promise<HostProgram> {
  const dialler = host.startScript(DIAL, VIP, HOST, String(NODE_PORT));
  await dialler.says("going");
  return dialler;
}

/** The VIP and the NodePort by turns; what is not answered within 10 s, or otherwise, is lost. */
const DIAL = `
  import { connect } from "node:net";
  const [, vip, host, nodePort] = process.argv;
  let dialled = 0, lost = 0;
  function dial() {
    const [address, port] = dialled % 2 === 0 ? [vip, 80] : [host, Number(nodePort)];
    let answer = "";
    const socket = connect(port, address, () => socket.write("who"));
    socket.setTimeout(10_000, () => socket.destroy());
    socket.on("error", () => {}).on("data", (data) => { answer += data; socket.end(); });
    socket.on("close", () => {
      if (answer !== "who") lost++;
      if (++dialled === 20) console.log("going");
      setTimeout(dial, 5);
    });
  }
  for (let index = 0; index < 4; index++) dial();
  process.on("SIGTERM", () => { console.log("lost " + lost + " of " + dialled); process.exit(); });`;
