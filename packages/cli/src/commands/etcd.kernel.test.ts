import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, inject, onTestFinished, test } from "vitest";
import { whyNoEtcdProgram } from "../testing/etcd-lab.ts";
import { runInMemory } from "../testing/memory-context.ts";
import { ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoEtcdProgram();
const FILE = `hosts:
  - name: a
    address: 192.0.2.1
services:
  - name: web
    clusterIP: 10.96.0.1
    ports:
      - port: 80
    endpoints:
      - 10.1.0.9:80
`;

describe.skipIf(reason !== undefined)(`svcproxy etcd${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("put shows what changes and writes it, get gives it back, and check reads it", async ({ expect }) => {
    const { cli } = await started();
    expect(await cli(["etcd", "put", "-", "--diff"], FILE)).toMatchObject({
      exitCode: 3,
      stdout: "+ hosts/a\n+ services/default/web\n",
    });
    expect(await cli(["etcd", "put", "-"], FILE)).toMatchObject({ exitCode: 0 });
    expect(await cli(["etcd", "put", "-", "--diff"], FILE)).toMatchObject({ exitCode: 0, stdout: "" });
    expect(await cli(["etcd", "get"])).toMatchObject({ exitCode: 0, stdout: FILE });
    const changed = FILE.replace("port: 80", "port: 81").replace("name: a\n", "name: b\n");
    expect((await cli(["etcd", "put", "-"], changed)).stdout).toBe(
      "+ hosts/b\n~ services/default/web\n    -   - port: 80\n    +   - port: 81\n- hosts/a\n",
    );
    expect(JSON.parse((await cli(["etcd", "put", "-", "--json", "--diff"], FILE)).stdout).changes).toHaveLength(3);
  });

  test("a put that removes many services has to be meant", async ({ expect }) => {
    const { cli } = await started();
    const many = Array.from({ length: 11 }, (_, index) => `  - { name: s${index}, clusterIP: None, ports: [] }\n`);
    const text = `hosts: []\nservices:\n${many.join("")}`;
    expect(await cli(["etcd", "put", "-"], text)).toMatchObject({ exitCode: 0 });
    expect(await cli(["etcd", "put", "-"], "hosts: []")).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("would remove 11 services; nothing is changed [UNCONFIRMED_REMOVAL]"),
    });
    expect((await cli(["etcd", "get"])).stdout).toContain("name: s10");
    expect(await cli(["etcd", "put", "-"], `hosts: []\nservices:\n${many[0]}`)).toMatchObject({ exitCode: 0 });
    expect(await cli(["etcd", "put", "-", "--yes"], text)).toMatchObject({ exitCode: 0 });
    expect(await cli(["etcd", "put", "-", "--yes"], "hosts: []\nnode: {}\n")).toMatchObject({ exitCode: 0 });
  });

  test("what cannot be put is said with its place, and what cannot be reached without the password", async ({
    expect,
  }) => {
    const { cli } = await started();
    expect(await cli(["etcd", "put", "-"], FILE.replace("10.96.0.1", "10.96.0.300"))).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("<stdin>:6:16: Cannot read service"),
    });
    expect((await cli(["etcd", "put", "-"], "kind: Service\napiVersion: v1")).stderr).toContain("Kubernetes objects");
    const nowhere = await runInMemory(["etcd", "get", "--etcd", "etcd://u:secret@127.0.0.1:1/p"]);
    expect(nowhere).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("[ETCD_UNREACHABLE]") });
    expect(nowhere.stderr).not.toContain("secret");
  });

  test("drain takes an endpoint out of use, by its address, pod or registration, and undrain puts it back", async ({
    expect,
  }) => {
    const { cli, check } = await started();
    await cli(["etcd", "put", "-"], FILE);
    expect((await check()).endpoints).toMatchObject([{ state: "ready" }]);
    expect((await cli(["etcd", "drain", "web/10.1.0.9:80"])).stdout).toBe(
      "default/web: 10.1.0.9:80 is drained: it gets no new connections\n",
    );
    expect((await check()).endpoints).toMatchObject([{ state: "serving while terminating" }]);
    expect((await cli(["etcd", "drain", "web/10.1.0.9:80"])).stdout).toContain("already drained");
    expect((await cli(["etcd", "undrain", "web/10.1.0.9:80"])).stdout).toContain("in use");
    expect((await check()).endpoints).toMatchObject([{ state: "ready" }]);
    for (const [name, code] of [
      ["web/zz", "UNKNOWN_REGISTRATION"],
      ["wob/zz", "UNKNOWN_SERVICE"],
      ["web", "UNKNOWN_REGISTRATION"],
    ] as const)
      expect(await cli(["etcd", "drain", name])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(code) });
  });

  test("register keeps an endpoint there, and takes it away when it is told to end", async ({ expect }) => {
    const { host, url, folder, check, cli } = await started();
    await cli(["etcd", "put", "-"], FILE);
    await writeFile(join(folder, "etcd.yaml"), `endpoints: [${url.slice("etcd://".length).split("/")[0]}]\n`);
    const args = [
      "register",
      "web",
      "--address",
      "10.1.0.7:80",
      "--id",
      "seven",
      "--check",
      `exec:test -e ${folder}/well`,
    ];
    await writeFile(join(folder, "well"), "");
    const settings = ["--etcd-config", join(folder, "etcd.yaml"), "--interval", "100ms", "--drain-time", "0s"];
    const program = host.svcproxy([...args, ...settings]);
    await program.says("registered default/web as seven");
    expect((await check()).endpoints).toMatchObject([{ address: "10.1.0.9:80" }, { address: "10.1.0.7:80" }]);
    await rm(join(folder, "well"));
    await program.says("withdrawn default/web as seven");
    await writeFile(join(folder, "well"), "");
    await until(
      async () => (await check()).endpoints.length === 2,
      () => `it is not back:\n${program.stderr}`,
    );
    expect(await program.kill("SIGTERM")).toBe(0);
    expect((await check()).endpoints).toHaveLength(1);
    expect(await readFile(join(folder, "well"), "utf8")).toBe("");
  });
});

/** A network namespace with an etcd in it, and the command beside it. */
async function started() {
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-etcd-cli-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const host = await ProxyHost.create();
  onTestFinished(() => host[Symbol.asyncDispose]());
  const url = "etcd://127.0.0.1:2379/svcproxy";
  const at = "http://127.0.0.1:2379";
  const etcd = host.start([
    ...["etcd", "--data-dir", join(folder, "data"), "--unsafe-no-fsync", "--listen-client-urls", at],
    ...["--advertise-client-urls", at, "--listen-peer-urls", "http://127.0.0.1:2380"],
  ]);
  await etcd.says("ready to serve client requests");
  const cli = async (args: readonly string[], input = "") => {
    await writeFile(join(folder, "input"), input);
    const program = host.start([
      ...["sh", "-c", 'exec "$@" < "$0"', join(folder, "input")],
      ...[process.execPath, inject("program"), ...args, "--etcd", url],
    ]);
    const exitCode = await program.end();
    return { exitCode, stdout: program.stdout, stderr: program.stderr };
  };
  const check = async (): Promise<{ readonly endpoints: readonly { address: string; state: string }[] }> => {
    const program = host.svcproxy(["check", url, "--json"]);
    await program.end();
    return { endpoints: JSON.parse(program.stdout).services[0].ports[0].endpoints };
  };
  return { folder, host, url, cli, check };
}
