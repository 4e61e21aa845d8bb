import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { runCli } from "../testing/cli-in-namespace.ts";

const reason = whyNoKernelTests([
  "ip",
  "unshare",
  "nsenter",
  "nft",
  "perl",
  "iptables-nft-restore",
  "iptables-legacy-save",
]);

const data = (name: string) => join(import.meta.dirname, "../testing/engine-cases", name);
const LAB = [data("lab.yaml"), "--host", "n1"];

const HOST = `
ip link add eth0 type veth peer name far; ip addr add 192.0.2.11/24 dev eth0
ip link set lo up; ip link set eth0 up; ip link set far up; ip route add default via 192.0.2.1
ip link add cni0 type bridge; ip addr add 10.244.1.1/24 dev cni0; ip link set cni0 up
ip route add 10.244.2.0/24 via 192.0.2.12
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
`;

/** Joins a namespace to the host's bridge as a pod. */
async function joinPod(host: NetworkNamespace, pod: NetworkNamespace, address: string): Promise<void> {
  const port = `v${address.split(".").at(-1)}`;
  const link = `ip link add ${port} type veth peer name eth0 netns ${pod.pid} && ip link set ${port} master cni0 up && ip link set ${port} type bridge_slave hairpin on`;
  expect((await host.run("sh", ["-ec", link])).stderr).toBe("");
  const own = `ip link set lo up; ip link set eth0 up; ip addr add ${address}/24 dev eth0; ip route add default via 10.244.1.1`;
  expect((await pod.run("sh", ["-ec", own])).stderr).toBe("");
}

/** Answers one connection after the other until it is killed with its namespace. */
const LISTEN = `use IO::Socket::INET; $| = 1;
my $s = IO::Socket::INET->new(LocalAddr => "10.244.1.5", LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die $!;
exit if fork; close STDOUT; close STDERR; alarm 60; while (my $c = $s->accept) { close $c }`;

const DIAL = `use IO::Socket::INET;
print IO::Socket::INET->new(PeerAddr => "10.96.0.20", PeerPort => 80, Timeout => 1) ? "answered" : "no answer"`;

describe.skipIf(reason !== undefined)(`rules of nft beside ours${reason === undefined ? "" : ` (${reason})`}`, () => {
  // firewalld's hook comes behind our rules, which let answers pass: it refuses those to the endpoint's own port too.
  test.for([
    { rules: "drop-in-filter.nft", fate: "no answer", exitCode: 3, broken: [1, 6], verdict: "dropped" },
    { rules: "firewalld.nft", fate: "no answer", exitCode: 3, broken: [1, 2, 6], verdict: "refused" },
    { rules: "count-in-filter.nft", fate: "answered", exitCode: 0, broken: [], verdict: "accepted" },
  ])("$rules: a client gets $fate, which prove and trace of this machine say", { timeout: 300_000 }, async (wanted) => {
    await using host = await createNetworkNamespace();
    await using pod = await createNetworkNamespace();
    await using client = await createNetworkNamespace();
    expect((await host.run("sh", ["-ec", HOST])).stderr).toBe("");
    await joinPod(host, pod, "10.244.1.5");
    await joinPod(host, client, "10.244.1.6");
    expect((await pod.run("perl", ["-e", LISTEN])).stderr).toBe("");
    const applied = await runCli(host, ["iptables", "apply", ...LAB]);
    expect(applied.exitCode, applied.stderr).toBe(0);
    expect((await client.run("perl", ["-e", DIAL])).stdout).toBe("answered");
    // Beside iptables-nft's own chains in the table filter, which iptables then cannot show any more.
    const loaded = await host.run("nft", ["-f", "-"], { input: readFileSync(data(wanted.rules), "utf8") });
    expect(loaded.stderr).toBe("");
    expect((await client.run("perl", ["-e", DIAL])).stdout).toBe(wanted.fate);
    const proved = await runCli(host, ["prove", ...LAB, "--live", "--json"]);
    expect(proved.exitCode, proved.stderr).toBe(wanted.exitCode);
    const { proofs } = JSON.parse(proved.stdout);
    const claims: { number: number; status: string }[] = proofs[0].claims;
    const broken = claims.filter(({ status }) => status === "broken").map(({ number }) => number);
    expect(broken).toEqual(wanted.broken);
    const traced = await runCli(host, [
      "trace",
      ...LAB,
      "--live",
      "--from",
      "10.244.1.6",
      "--to",
      "10.96.0.20:80",
      "--json",
    ]);
    const verdicts: string[] = JSON.parse(traced.stdout).branches.map(({ verdict }: { verdict: string }) => verdict);
    expect(new Set(verdicts)).toEqual(new Set([wanted.verdict]));
  });
});
