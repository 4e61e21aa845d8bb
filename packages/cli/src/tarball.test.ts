import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

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

test("no chunk has an import() left, which the script that it is run as would not know", async () => {
  const bundle = await readFile(join(folder, "lib/node_modules/svcproxy/dist/svcproxy.cjs"), "latin1");
  expect(bundle).not.toMatch(/(?<![\w$.])import\s*\(/);
});

describe("compiled code", () => {
  const printRules = async (cache: string) =>
    (
      await run(command, ["iptables", example, "--host", "cloudos1"], {
        env: { ...process.env, XDG_CACHE_HOME: cache },
      })
    ).stdout;
  const makeCache = () => mkdtemp(join(folder, "cache-"));

  test("is kept between runs, one file for each command, and no more once all of it is there", async () => {
    const cache = await makeCache();
    const first = await printRules(cache);
    const kept = await readdir(join(cache, "svcproxy"));
    expect(kept).toEqual([expect.stringMatching(/^iptables\.[0-9a-f]{16}\.v/)]);
    const file = join(cache, "svcproxy", kept[0] ?? "");
    const { ino } = await stat(file);
    expect(await printRules(cache)).toBe(first);
    expect((await stat(file)).ino).toBe(ino);
  });

  test("that another build, another Node or a broken disk left does no harm, and is replaced", async () => {
    const cache = await makeCache();
    const first = await printRules(cache);
    const [name = ""] = await readdir(join(cache, "svcproxy"));
    const file = join(cache, "svcproxy", name);
    const whole = await readFile(file);
    for (const broken of ["", "[[", '[["./main.cjs",10]]\n', whole.subarray(0, whole.length / 2), whole.toReversed()]) {
      await writeFile(file, broken);
      await writeFile(join(cache, "svcproxy/iptables.0123456789abcdef.v1.0.0-x64"), "old");
      expect(await printRules(cache)).toBe(first);
      expect(await readdir(join(cache, "svcproxy"))).toEqual([name]);
      expect((await stat(file)).size).toBeGreaterThan(whole.length / 2);
    }
  });

  test("is not taken from a folder that others can write to", async () => {
    const cache = await makeCache();
    await mkdir(join(cache, "svcproxy"));
    await chmod(join(cache, "svcproxy"), 0o777);
    await printRules(cache);
    expect(await readdir(join(cache, "svcproxy"))).toEqual([]);
  });
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
