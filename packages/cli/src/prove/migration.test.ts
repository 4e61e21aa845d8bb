import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordedCase, recordedConfigurationText } from "@svcproxy/nftables/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runInMemory } from "../testing/memory-context.ts";

const folder = mkdtempSync(join(tmpdir(), "svcproxy-migration-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = (name: string) => join(folder, name);

const { objects, saved } = recordedCase("nodeport");
const CONFIGURED = [objects, "--config", path("config.yaml")];
const TO = ["--to", "kube-proxy-nftables"];

/** A snapshot of a node as `svcproxy host-state --snapshot` writes it, in parts. */
function snapshot(node: number, { rules, kernel }: { readonly rules: string; readonly kernel: string }): string {
  const address = (local: string, prefixlen: number) => ({ local, prefixlen, scope: "global" });
  return JSON.stringify({
    svcproxySnapshot: 1,
    hostname: `node${node}`,
    versions: { kernel, nft: "nftables v1.0.6" },
    unread: [],
    addr: [
      { ifname: "lo", flags: ["LOOPBACK"], addr_info: [address("127.0.0.1", 8)] },
      { ifname: "eth0", addr_info: [address(`192.168.77.${node}`, 24)] },
      { ifname: "cni0", linkinfo: { info_kind: "bridge" }, addr_info: [address(`10.244.${node}.1`, 24)] },
    ],
    route: {
      4: [
        { dst: "default", gateway: "192.168.77.254", dev: "eth0" },
        { dst: `10.244.${node}.0/24`, dev: "cni0" },
      ],
    },
    sysctls: { "net.ipv4.ip_forward": "1", "net.ipv4.conf.all.route_localnet": "1" },
    recent: {},
    rules: {
      texts: [
        { file: "iptables-nft-save", text: rules },
        { file: "nft list ruleset", text: "flush ruleset\n" },
      ],
      unread: [],
    },
  });
}

const RULES = readFileSync(saved, "utf8");
const UNUSED = RULES.replaceAll(/^(-A KUBE-.*)$/gm, "[0:0] $1");

beforeAll(() => {
  writeFileSync(path("config.yaml"), recordedConfigurationText("nodeport", "iptables"));
  writeFileSync(path("node1.json"), snapshot(1, { rules: UNUSED, kernel: "6.1.0" }));
});

describe("a migration of one host", () => {
  test("is told with each difference, what the host must have, and a sum", async () => {
    const { stdout, exitCode } = await runInMemory([
      "prove",
      ...CONFIGURED,
      "--host",
      "node1",
      "--rules",
      saved,
      ...TO,
    ]);
    expect(exitCode).toBe(3);
    expect(stdout).toMatch(/^Host node1, kube-proxy from its iptables mode to nftables: \d+ kinds of packets/);
    expect(stdout).toContain(
      "STOPS      NodePorts are not served on loopback addresses (IPv4)\n           127.0.0.1 → 127.0.0.1:",
    );
    expect(stdout).toContain("harmless   Ports of a ClusterIP that no service has are refused at once (IPv4)");
    expect(stdout).toContain("concerns 3 services: default/np, default/npl, default/npx");
    expect(stdout).toContain("unknown    The kernel must be 5.13 or later\n");
    expect(stdout).toMatch(
      /Not ready: 2 of the differences may stop or change what is in use; \d of the above could not be looked at\.\n$/,
    );
  });

  test("prints commands that run as they stand, and show the packet's end of today", async () => {
    const { stdout } = await runInMemory([
      "prove",
      ...CONFIGURED,
      "--host",
      "node1",
      "--rules",
      saved,
      ...TO,
      "--json",
    ]);
    const { differences, ready } = JSON.parse(stdout);
    expect(ready).toBe(false);
    expect(differences.map(({ kind }: { kind: string }) => kind)).toContain("node-port-address");
    for (const { trace, packet } of differences) {
      const traced = await runInMemory([...trace.split(" ").slice(1), "--json"]);
      expect(traced.exitCode, trace).toBe(0);
      expect(JSON.parse(traced.stdout).packet.to).toContain(packet.to);
    }
  });

  test("is ready where its snapshot says that nothing uses what stops, on a kernel that is new enough", async () => {
    const { stdout, exitCode } = await runInMemory(["prove", ...CONFIGURED, "--rules", path("node1.json"), ...TO]);
    expect(stdout).toContain("used today: no, rule ");
    expect(stdout).toContain("met        Kernel 6.1.0 is 5.13 or later\n");
    expect(stdout).toMatch(/Ready: nothing that is in use stops or changes\.\n$/);
    expect(exitCode).toBe(0);
  });

  test("is not decided past rules that could not be read", async () => {
    const whole = JSON.parse(snapshot(1, { rules: UNUSED, kernel: "6.1.0" }));
    whole.rules.unread.push({ table: "nftables", because: "nft is not on this machine" });
    writeFileSync(path("unread.json"), JSON.stringify(whole));
    const argv = ["prove", ...CONFIGURED, "--rules", path("unread.json"), ...TO];
    const { stdout, stderr, exitCode } = await runInMemory(argv);
    expect(exitCode).toBe(4);
    expect(JSON.parse((await runInMemory([...argv, "--json"])).stdout)).toMatchObject({
      ready: false,
      verdict: "undecided",
    });
    expect(stderr).toContain("IPv4 rules of nftables were not read: nft is not on this machine");
    expect(stdout).toMatch(/^undecided {2}/m);
    expect(stdout).toMatch(/Not decided: .*could not be decided\.\n$/);
  });

  test("compares snapshots before and after as --same has them, on the host that they are of", async () => {
    writeFileSync(path("again.json"), snapshot(1, { rules: RULES, kernel: "6.1.0" }));
    const same = await runInMemory(["prove", "--same", path("node1.json"), path("again.json")]);
    expect(same).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^The same/) });
    writeFileSync(
      path("less.json"),
      snapshot(1, { rules: RULES.replace(/^-A KUBE-NODEPORTS.*30080.*\n/gm, ""), kernel: "6.1.0" }),
    );
    const less = await runInMemory(["prove", "--same", path("node1.json"), path("less.json")]);
    expect(less).toMatchObject({ exitCode: 3, stdout: expect.stringMatching(/^Different: /) });
    expect(less.stdout).not.toContain("No host was named");
  });

  test("takes kube-proxy's external IPs into the plan without being told", async () => {
    const external = recordedCase("external-ip");
    const argv = [
      "prove",
      external.objects,
      "--config",
      path("config.yaml"),
      "--host",
      "node1",
      "--rules",
      external.saved,
    ];
    const { stdout } = await runInMemory([...argv, ...TO]);
    expect(stdout).not.toContain("198.18.0.9");
    expect((await runInMemory(argv)).exitCode).toBe(0);
  });
});

describe("a fleet", () => {
  test("is summed up: nodes that are ready, each kind of finding once with its nodes, what could not be judged", async () => {
    const fleet = path("fleet");
    mkdirSync(fleet);
    writeFileSync(join(fleet, "a.json"), snapshot(1, { rules: UNUSED, kernel: "6.1.0" }));
    const other = RULES.replaceAll("10.244.1.", "10.244.2.").replaceAll("-d 192.168.77.1", "-d 192.168.77.2");
    writeFileSync(join(fleet, "b.json"), snapshot(2, { rules: other, kernel: "5.10.0" }));
    writeFileSync(join(fleet, "c.json"), "{");
    writeFileSync(join(fleet, "d.json"), snapshot(9, { rules: RULES, kernel: "6.1.0" }));
    writeFileSync(join(fleet, "notes.txt"), "not a snapshot");
    const { stdout, exitCode } = await runInMemory(["prove", ...CONFIGURED, ...TO, "--fleet", fleet]);
    expect(exitCode).toBe(3);
    expect(stdout).toMatch(/^4 nodes, .*: 1 ready, 1 not ready, 0 not decided, 2 not judged\.\n/);
    expect(stdout).toContain(
      "NodePorts are not served on loopback addresses (IPv4)\n           on 2 nodes: node1, node2\n",
    );
    expect(stdout).toMatch(/MISSING {4}Kernel 5\.10\.0 is older than 5\.13.*\n.*\n {13}on 1 node: node2\n/);
    expect(stdout).toContain("c.json: it is not a snapshot of a host");
    expect(stdout).toContain('no host of the topology owns an address of the host of "');
    const json = JSON.parse((await runInMemory(["prove", ...CONFIGURED, ...TO, "--fleet", fleet, "--json"])).stdout);
    expect(json).toMatchObject({ ready: ["node1"], notReady: ["node2"] });
    expect(json.differences.filter(({ kind }: { kind: string }) => kind === "wrong-port")).toHaveLength(1);
  });

  test("names several snapshots of one host by their files", async () => {
    const fleet = path("twice");
    mkdirSync(fleet);
    for (const [file, kernel] of [
      ["monday.json", "5.10.0"],
      ["tuesday.json", "6.1.0"],
    ] as const)
      writeFileSync(join(fleet, file), snapshot(1, { rules: UNUSED, kernel }));
    const { stdout } = await runInMemory(["prove", ...CONFIGURED, ...TO, "--fleet", fleet]);
    expect(stdout).toMatch(/^Ready {6}1 node: node1 \(.*tuesday\.json\)$/m);
    expect(stdout).toMatch(/^Not ready {2}1 node: node1 \(.*monday\.json\)$/m);
  });

  test("is told what a kube-proxy of some version does", async () => {
    const argv = ["prove", ...CONFIGURED, "--rules", path("node1.json"), ...TO, "--kube-proxy-version"];
    const old = await runInMemory([...argv, "v1.28.3"]);
    expect(old).toMatchObject({
      exitCode: 3,
      stdout: expect.stringContaining("kube-proxy 1.28.3 has no nftables mode"),
    });
    expect(await runInMemory([...argv, "latest"])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("--kube-proxy-version 1.37.2"),
    });
  });

  test.for([
    { flags: ["--kube-proxy-version", "1.37.2"], says: "name it with --to" },
    { flags: ["--fleet", "fleet"], says: "name it with --to" },
    { flags: [...TO, "--fleet", "fleet", "--host", "node1"], says: "leave out --host" },
    { flags: [...TO, "--fleet", "no-such-folder"], says: "there is no such file" },
    { flags: [...TO, "--same", "a", "b"], says: "--same and with --to" },
    { flags: [...TO, "--host", "node1"], says: "Name the rules that kube-proxy wrote" },
    { flags: ["--to", "ipvs"], says: "Allowed choices are kube-proxy-nftables" },
  ])("and a host are asked for without contradiction: $flags", async ({ flags, says }) => {
    const { exitCode, stderr } = await runInMemory(["prove", ...CONFIGURED, ...flags]);
    expect(stderr).toContain(says);
    expect(exitCode).toBe(2);
  });
});
