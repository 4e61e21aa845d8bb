import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const packageFolder = resolve(import.meta.dirname, "..");
const example = resolve(packageFolder, "../../examples/cloudos.yaml");
let folder = "";
let command = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "svcproxy-tarball-"));
  // Under `pnpm test` pnpm is on the PATH; a bare vitest asks npx for it.
  const [program, ...first] = process.env["npm_config_user_agent"]?.startsWith("pnpm/")
    ? ["pnpm"]
    : ["npx", "-y", "pnpm@12"];
  await run(program ?? "npx", [...first, "pack", "--pack-destination", folder], { cwd: packageFolder });
  const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("pnpm pack made no tarball");
  const npmEnv = { ...process.env, npm_config_cache: join(folder, "cache") };
  await run("npm", ["install", "--global", "--offline", "--prefix", folder, join(folder, tarball)], { env: npmEnv });
  command = join(folder, "bin/svcproxy");
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test("the tarball holds one bundled file and no dependency", async () => {
  const installed = join(folder, "lib/node_modules/svcproxy");
  expect((await readdir(join(installed, "dist"))).toSorted()).toEqual(["svcproxy.cjs"]);
  expect(await readdir(installed)).not.toContain("node_modules");
});

test("installed with npm, it runs without the workspace", async () => {
  const { stdout: version } = await run(command, ["--version"], { cwd: folder });
  expect(version).toMatch(/^\d+\.\d+\.\d+\n$/);
  const { stdout: commands } = await run(command, ["iptables", example, "--host", "cloudos1"], { cwd: folder });
  expect(commands).toContain(
    "iptables -t nat -A KUBE-SERVICES -d 10.100.100.1 -p tcp -m tcp --dport 7070 -j KUBE-SVC-1\n",
  );
  const { stdout: fromSources } = await run(process.execPath, [
    resolve(packageFolder, "src/main.ts"),
    "iptables",
    example,
    "--host",
    "cloudos1",
  ]);
  expect(commands).toBe(fromSources);
});
