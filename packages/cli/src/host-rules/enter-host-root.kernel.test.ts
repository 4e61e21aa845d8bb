import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, describe, inject, test } from "vitest";

const reason = whyNoKernelTests(["ip", "nft", "mount", "unshare", "chroot"]);
const folder = mkdtempSync(join(tmpdir(), "svcproxy-debug-"));
afterAll(() => rmSync(folder, { recursive: true }));

const TOPOLOGY = {
  hosts: [{ name: "one", address: "192.0.2.1", podCIDR: "10.5.75.0/24" }],
  services: [{ name: "web", clusterIP: "10.100.0.1", ports: [{ port: 80 }], endpoints: ["10.5.75.2:3000"] }],
};

/** A container as `kubectl debug node` makes one: the program, the libraries that it needs, and the node below `/host`; no tool, no `/proc`. */
function inContainer(root: string, command: string): string {
  const program = inject("program");
  const node = process.execPath;
  return `
    set -e
    mkdir -p ${["host", "program", "node", "lib", "lib64", "usr/lib"].map((name) => join(root, name)).join(" ")}
    mount --rbind / ${root}/host
    mount --bind ${dirname(program)} ${root}/program
    mount --bind ${dirname(node)} ${root}/node
    for part in lib lib64 usr/lib; do [ ! -d /$part ] || mount --bind /$part ${root}/$part; done
    chroot ${root} /node/node /program/${program.slice(dirname(program).length + 1)} ${command}
  `;
}

describe.skipIf(reason !== undefined)(
  `svcproxy doctor in a container that has only /host${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test("looks by the node's tools at the node's rules, and reads its topology from stdin", async ({ expect }) => {
      await using namespace = await createNetworkNamespace();
      const topology = join(folder, "topology.json");
      writeFileSync(topology, JSON.stringify(TOPOLOGY));
      await namespace.run("sh", [
        "-c",
        "ip link set lo up; ip link add cni0 type bridge; ip link set cni0 up; ip addr add 10.5.75.1/24 dev cni0; ip route add default dev cni0; sysctl -qw net.ipv4.ip_forward=1",
      ]);
      const root = join(folder, "root");
      const doctor = `doctor - --host one --foreign-host --no-probe --json < ${topology} || echo "exit $?"`;
      const { stdout } = await namespace.run("unshare", ["--mount", "sh", "-c", inContainer(root, doctor)]);
      expect(stdout).toContain("exit 3");
      const { causes, open } = JSON.parse(stdout.replace("exit 3", ""));
      expect(causes.map(({ code }: { code: string }) => code)).toContain("RULES_MISSING");
      expect(open).toEqual([]);
    });
  },
);
