import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, describe, test, vi } from "vitest";
import { runCli } from "../testing/cli-in-namespace.ts";

const reason = whyNoKernelTests(["ip", "nft", "nsenter"]);
const folder = mkdtempSync(join(tmpdir(), "svcproxy-pods-"));
afterAll(() => rmSync(folder, { recursive: true }));

const FILE = join(folder, "topology.json");
const TOPOLOGY = {
  hosts: [
    {
      ...{ name: "one", address: "192.0.2.1", podCIDR: "10.77.75.0/24" },
      pods: [{ name: "server", address: "10.77.75.2:3000" }],
    },
  ],
  services: [{ name: "web", clusterIP: "10.177.0.1", ports: [{ port: 80 }], endpoints: ["server"] }],
};

/** Answers on port 3000 for as long as the namespace is there. */
const SERVER =
  'require("node:net").createServer((socket) => socket.end()).listen(3000, "0.0.0.0", () => console.log("on"))';

async function hostWithPod() {
  const [host, pod] = [await createNetworkNamespace(), await createNetworkNamespace()];
  await host.run("sh", [
    ...["-e", "-c"],
    `ip link set lo up; ip addr add 192.0.2.1/32 dev lo; sysctl -qw net.ipv4.ip_forward=1
     ip link add cni0 type bridge; ip link set cni0 up; ip addr add 10.77.75.1/24 dev cni0; ip route add default dev cni0
     ip link add veth0 type veth peer name eth0 netns ${pod.pid}; ip link set veth0 master cni0 up; bridge link set dev veth0 hairpin on`,
  ]);
  await pod.run("sh", [
    ...["-e", "-c"],
    "ip link set lo up; ip link set eth0 up; ip addr add 10.77.75.2/24 dev eth0; ip route add default via 10.77.75.1",
  ]);
  writeFileSync(FILE, JSON.stringify(TOPOLOGY));
  const applied = await runCli(host, ["nftables", "apply", FILE, "--host", "one"]);
  if (applied.exitCode !== 0) throw new Error(applied.stderr);
  return { host, pod };
}

async function doctor(host: NetworkNamespace, flags: readonly string[]) {
  const { stdout, stderr } = await runCli(host, ["doctor", FILE, "--host", "one", "--json", ...flags]);
  if (stdout === "") throw new Error(stderr);
  const { causes, open, looked } = JSON.parse(stdout);
  const text = (one: { readonly code?: string; readonly text: string }) => `${one.code ?? "open"}: ${one.text}`;
  return { said: [...causes, ...open].map(text), dials: looked.dials };
}

describe.skipIf(reason !== undefined)(
  `svcproxy doctor from within pods${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 120_000 },
  () => {
    test("names the pod whose own rules keep it from a service", async ({ expect }) => {
      const { host, pod } = await hostWithPod();
      await using stack = new AsyncDisposableStack();
      stack.use(host);
      stack.use(pod);
      const ending = new AbortController();
      const server = pod.run(process.execPath, ["-e", SERVER], { signal: ending.signal }).catch(() => {});
      stack.defer(async () => {
        ending.abort();
        await server;
      });
      await vi.waitFor(async () => expect((await pod.run("ss", ["-Hlnt"])).stdout).toContain(":3000"), 30_000);
      const quiet = await doctor(host, ["--service", "web", "--as-pod"]);
      expect(quiet.said).toEqual([]);
      const asHost = await doctor(host, ["--service", "web"]);
      expect(quiet.dials).toBe(asHost.dials + 1);
      await pod.run("nft", ["-f", "-"], {
        input: "table ip own { chain o { type filter hook output priority 0; ip daddr 10.177.0.1 drop; }; }",
      });
      expect((await doctor(host, ["--service", "web"])).said).toEqual([]);
      const [found] = (await doctor(host, ["--service", "web", "--as-pod"])).said;
      expect(found).toMatch(
        /^open: A connection from pod 10\.77\.75\.2 \(pid \d+\) to 10\.177\.0\.1:80 gets no answer/,
      );
      await pod.run("nft", ["flush", "ruleset"]);
      await pod.run("nft", ["-f", "-"], {
        input: "table ip own { chain i { type filter hook input priority 0; tcp dport 3000 reject with tcp reset; }; }",
      });
      expect((await doctor(host, ["--service", "web"])).said).toEqual([
        expect.stringMatching(/^open: 10\.77\.75\.2:3000 refuses connections although a program listens there/),
      ]);
    });
  },
);
