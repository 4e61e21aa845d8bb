import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { ProxyHost } from "../testing/proxy-host.ts";

const run = promisify(execFile);
const example = resolve(import.meta.dirname, "../../../../examples/cloudos.yaml");
const reason = whyNoKernelTests(["ip", "nsenter", "curl"]);
let folder = "";
let executable = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "svcproxy-executable-"));
  executable = join(folder, "svcproxy");
  const make = `
    const { makeExecutable } = await import(${JSON.stringify(resolve(import.meta.dirname, "../../make-executable.ts"))});
    await makeExecutable({ output: ${JSON.stringify(executable)} });`;
  await run(process.execPath, ["--input-type=module", "-e", make]);
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test("as a single executable it needs no Node", async () => {
  const env = { PATH: "/nowhere" };
  expect((await run(executable, ["--version"], { env })).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  const args = ["iptables", example, "--host", "cloudos1"];
  const { stdout } = await run(executable, args, { env });
  expect(stdout).toBe(execFileSync(process.execPath, [inject("program"), ...args], { encoding: "utf8" }));
  const { stdout: unit } = await run(executable, ["userspace", example, "--host", "cloudos1", "--print-unit"], { env });
  expect(unit).toContain(`\nExecStart=${executable} userspace ${example} --host cloudos1\n`);
});

describe.skipIf(reason !== undefined)(`its workers${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("are the same executable, and serve", async () => {
    await using host = await ProxyHost.create();
    await host.shell("ip link set lo up");
    const file = await host.writeTopology({
      hosts: [{ name: "a", address: "192.0.2.1" }],
      services: [{ name: "web", clusterIP: "10.96.0.1", ports: [{ port: 80 }], endpoints: ["127.0.1.1:8080"] }],
    });
    const server = host.startScript(
      `import { createServer } from "node:http";
       createServer((_, response) => response.end("hello")).listen(8080, "127.0.1.1", () => console.log("ready"));`,
    );
    await server.says("ready");
    const args = ["userspace", file, "--host", "a", "--foreign-host", "--workers", "2"];
    const proxy = host.start([executable, ...args, "--runtime-dir", join(host.folder, "run")]);
    await proxy.serves();
    expect(await host.shell("curl -sS -m 10 http://10.96.0.1/")).toBe("hello");
    const children = execFileSync("ps", ["-o", "args=", "--ppid", String(proxy.pid)], { encoding: "utf8" });
    expect(children.split("\n").filter((line) => line === `${executable} userspace worker`)).toHaveLength(2);
    expect(await proxy.kill("SIGTERM")).toBe(0);
  });
});

/** A container as `kubectl debug node` makes one, out of the program and its libraries alone, on a node that lacks one of them. */
const IN_CONTAINER = `
set -e
root=$1; executable=$2; shift 2
mkdir -p $root/host $root/bin
touch $root/bin/svcproxy; mount --bind $executable $root/bin/svcproxy
for library in $(ldd $executable | grep -o '/lib[^ ]*'); do
  mkdir -p $root/$(dirname $library); cp -L $library $root/$library
done
echo nothing >$root/empty
mount --bind $root/empty $(readlink -f $(ldd $executable | grep -o '/lib[^ ]*libatomic[^ ]*'))
mount --rbind / $root/host
chroot $root /bin/svcproxy "$@" || echo "exit $?"
`;
const whyNoContainer = whyNoKernelTests(["ip", "nft", "mount", "unshare", "chroot", "ldd"]);

describe.skipIf(whyNoContainer !== undefined)(
  `in a container that has only /host${whyNoContainer === undefined ? "" : ` (${whyNoContainer})`}`,
  () => {
    test("it looks at the node, also where that lacks its libraries", { timeout: 60_000 }, async () => {
      await using host = await ProxyHost.create();
      const file = await host.writeTopology({
        hosts: [{ name: "a", address: "192.0.2.1", podCIDR: "10.5.75.0/24" }],
        services: [{ name: "web", clusterIP: "10.96.0.1", ports: [{ port: 80 }], endpoints: ["10.5.75.2:8080"] }],
      });
      await host.shell(
        "ip link add cni0 type bridge; ip link set cni0 up; ip addr add 10.5.75.1/24 dev cni0; ip route add default dev cni0; sysctl -qw net.ipv4.ip_forward=1",
      );
      const args = ["doctor", "-", "--host", "a", "--foreign-host", "--no-probe", "--json"];
      const command = ["sh", "-c", IN_CONTAINER, "sh", join(folder, "root"), executable, ...args];
      const { stdout } = await host.namespace.run("unshare", ["--mount", ...command], {
        input: await readFile(file, "utf8"),
      });
      expect(stdout).toContain("exit 3");
      const { causes, open } = JSON.parse(stdout.replace("exit 3", ""));
      expect(causes.map(({ code }: { code: string }) => code)).toContain("RULES_MISSING");
      expect(open).toEqual([]);
    });
  },
);
