import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, describe, expect, test } from "vitest";
import { runCli } from "../testing/cli-in-namespace.ts";
import { topologyText } from "../testing/host-with-rules.ts";
import { runInMemory } from "../testing/memory-context.ts";

const reason = whyNoKernelTests(["ip", "unshare", "nsenter", "nft", "iptables-nft-save", "setpriv"]);
const folder = mkdtempSync(join(tmpdir(), "svcproxy-snapshot-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = (name: string) => join(folder, name);

const SET_UP = `
ip link add eth0 type veth peer name far
ip addr add 192.0.2.6/24 dev eth0 && ip addr add 2001:db8::6/64 dev eth0 nodad
ip link set lo up && ip link set eth0 up && ip link set far up
ip route add default via 192.0.2.1 && ip -6 route add default via 2001:db8::1
ip link add cni0 type bridge && ip addr add 10.5.75.1/24 dev cni0 && ip addr add fd00:5::1/64 dev cni0 nodad && ip link set cni0 up
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1
`;

describe.skipIf(reason !== undefined)(`a snapshot${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("is proved and traced elsewhere, with its rules and as the host that it is of", async () => {
    await using namespace = await createNetworkNamespace();
    const done = await namespace.run("sh", ["-e", "-c", SET_UP]);
    expect(done.stderr).toBe("");
    writeFileSync(path("web.yaml"), topologyText());
    await runCli(namespace, ["nftables", "apply", path("web.yaml"), "--quiet"]);
    const taken = await runCli(namespace, ["host-state", "--snapshot", path("one.json")]);
    expect(taken).toMatchObject({ exitCode: 0, stdout: "" });
    const proved = await runInMemory(["prove", path("web.yaml"), "--rules", path("one.json")]);
    expect(proved.stdout).not.toContain("BROKEN");
    expect(proved.exitCode).toBe(0);
    const traced = await runInMemory([
      ...["trace", "--rules", path("one.json"), "--from", "10.5.75.2", "--to", "10.100.0.1:80", "--json"],
    ]);
    expect(traced).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('"verdict": "accepted"') });
    const planned = ["trace", path("web.yaml"), "--host", "one", "--host-state", path("one.json")];
    expect(await runInMemory([...planned, "--from", "10.5.75.2", "--to", "10.100.0.1:80"])).toMatchObject({
      exitCode: 0,
    });
    // What one program did to the rules since is in the next one.
    await namespace.run("nft", ["add rule ip svcproxy services drop"]);
    await runCli(namespace, ["host-state", "--snapshot", path("one.json")]);
    expect(await runInMemory(["prove", path("web.yaml"), "--rules", path("one.json")])).toMatchObject({ exitCode: 3 });
  });

  test("without root says what is not in it, and is not proved", async () => {
    await using namespace = await createNetworkNamespace();
    writeFileSync(path("web.yaml"), topologyText());
    const below = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    const taken = await runCli(namespace, ["host-state", "--snapshot", "-"], { below });
    expect(taken.stderr).toMatch(/rules is not in the snapshot: .* needs root/);
    expect(taken.exitCode).toBe(0);
    writeFileSync(path("poor.json"), taken.stdout);
    const proved = await runInMemory(["prove", path("web.yaml"), "--host", "one", "--rules", path("poor.json")]);
    expect(proved.exitCode).toBe(2);
    expect(proved.stderr).toMatch(/Cannot take the rules of ".*poor\.json": .*needs root/);
  });

  test("is written whole or not at all", async () => {
    await using namespace = await createNetworkNamespace();
    const failed = await runCli(namespace, ["host-state", "--snapshot", path("no/such/folder.json")]);
    expect(failed).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/Cannot write .*folder\.json": ENOENT/),
    });
    expect(await runCli(namespace, ["host-state", "--snapshot", "/dev/null"])).toMatchObject({ exitCode: 0 });
    writeFileSync(path("old.json"), "old");
    await runCli(namespace, ["host-state", "--snapshot", path("old.json")]);
    expect(readFileSync(path("old.json"), "utf8")).toMatch(/^\{"svcproxySnapshot": 1,\n/);
  });

  test("of two hosts cannot be taken together", async () => {
    const empty = '{"svcproxySnapshot": 1, "addr": [], "sysctls": {}, "rules": {"texts": [], "unread": []}}';
    for (const name of ["a.json", "b.json"]) writeFileSync(path(name), empty);
    const rules = ["--rules", path("a.json"), "--rules", path("b.json")];
    const traced = await runInMemory(["trace", ...rules, "--from", "10.5.75.2", "--to", "10.100.0.1:80"]);
    expect(traced).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("two snapshots") });
  });
});
