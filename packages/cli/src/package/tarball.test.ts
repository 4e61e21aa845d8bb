import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const run = promisify(execFile);
const packageFolder = resolve(import.meta.dirname, "../..");
const example = resolve(packageFolder, "../../examples/cloudos.yaml");
const isRoot = process.getuid?.() === 0;
let folder = "";
let installed = "";
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
  installed = join(folder, "lib/node_modules/svcproxy");
  command = join(folder, "bin/svcproxy");
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test("the tarball holds the built command, its licence and no dependency", async () => {
  expect((await readdir(installed)).toSorted()).toEqual(["LICENSE", "README.md", "bin", "dist", "package.json"]);
  expect(await readdir(join(installed, "dist"))).toContain("main.cjs");
});

test("the licences of the code that was bundled are in it", async () => {
  expect(await readFile(join(installed, "LICENSE"), "utf8")).toContain("Apache License");
  const notices = await readFile(join(installed, "dist/third-party-licenses.txt"), "utf8");
  for (const name of ["commander", "js-yaml", "pino"])
    expect(notices).toMatch(new RegExp(`^${name} [\\d.]+ \\(MIT\\)$`, "m"));
  expect(notices).toContain("Permission is hereby granted");
});

test("it brings man pages and completions", async () => {
  // npm installs those that package.json lists.
  expect((await readdir(join(folder, "share/man/man1"))).toSorted()).toEqual(
    (await readdir(join(installed, "dist/man"))).toSorted(),
  );
  expect((await readdir(join(installed, "dist/completions"))).toSorted()).toEqual([
    "_svcproxy",
    "svcproxy.bash",
    "svcproxy.fish",
  ]);
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

test("an old Node is told in one sentence which one is needed, and package.json says the same", async () => {
  const { engines } = JSON.parse(await readFile(join(installed, "package.json"), "utf8"));
  const pretended = join(folder, "old-node.cjs");
  await writeFile(
    pretended,
    `Object.defineProperty(process, "versions", { value: { node: "22.11.0" } });
     Object.defineProperty(process, "version", { value: "v22.11.0" });`,
  );
  const old = run(process.execPath, ["--require", pretended, join(installed, "bin/svcproxy.cjs"), "--version"]);
  await expect(old).rejects.toMatchObject({
    code: 1,
    stdout: "",
    stderr: `svcproxy: needs Node.js ${engines.node.replace(">=", "")} or newer, but ${process.execPath} is v22.11.0\n`,
  });
});

describe("compiled code", () => {
  /** As an ordinary user, in a user namespace where root runs the tests. */
  const asUser = isRoot ? ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"] : ["env"];

  async function printRules([program = "", ...prefix]: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
    const { PATH } = process.env;
    const arguments_ = [...prefix, command, "iptables", example, "--host", "cloudos1"];
    const { stdout, stderr } = await run(program, arguments_, { env: { PATH, ...env } });
    expect(stdout).toMatch(/-j KUBE-SVC-2\n$/);
    expect(stderr).toBe("");
  }

  const makeCache = () => mkdtemp(join(folder, "cache-"));

  test("is kept between runs, where only its user can write", async () => {
    const cache = join(await makeCache(), "none-yet");
    await printRules(asUser, { XDG_CACHE_HOME: cache });
    expect((await stat(join(cache, "svcproxy"))).mode & 0o777).toBe(0o700);
    const kept = await readdir(join(cache, "svcproxy"), { recursive: true });
    expect(kept.length).toBeGreaterThan(5);
    await printRules(asUser, { XDG_CACHE_HOME: cache });
    expect(await readdir(join(cache, "svcproxy"), { recursive: true })).toEqual(kept);
  });

  test("that is broken does no harm", async () => {
    const cache = await makeCache();
    await printRules(asUser, { XDG_CACHE_HOME: cache });
    for (const entry of await readdir(join(cache, "svcproxy"), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) await writeFile(join(entry.parentPath, entry.name), "broken");
    }
    await printRules(asUser, { XDG_CACHE_HOME: cache });
  });

  test("is neither taken from nor left in a folder that others can write to", async () => {
    const cache = await makeCache();
    await mkdir(join(cache, "svcproxy"));
    await chmod(join(cache, "svcproxy"), 0o770);
    await printRules(asUser, { XDG_CACHE_HOME: cache });
    expect(await readdir(join(cache, "svcproxy"))).toEqual([]);
  });

  test("is not kept, and nothing is said, where there is no home", () => printRules(asUser, {}));

  describe.skipIf(!isRoot)("of root", () => {
    /** With a /var/cache of its own. */
    const asRoot = (script: string) => [
      ...["unshare", "--mount", "--", "sh", "-ec"],
      `mount -t tmpfs -o mode=0755 tmpfs /var/cache; ${script}`,
      "sh",
    ];

    test("is kept below /var/cache, whatever $XDG_CACHE_HOME the user under sudo had", async () => {
      const cache = await makeCache();
      await printRules(asRoot('"$@"; test "$(stat -c %a /var/cache/svcproxy)" = 700'), { XDG_CACHE_HOME: cache });
      expect(await readdir(cache)).toEqual([]);
    });

    test("is not taken from another user's folder", () =>
      printRules(
        asRoot(
          'mkdir -m 700 /var/cache/svcproxy; chown 65534 /var/cache/svcproxy; "$@"; test -z "$(ls /var/cache/svcproxy)"',
        ),
        {},
      ));

    test("is not kept, and nothing is said, where the root file system is read-only", () =>
      printRules(asRoot('mount -o remount,ro /var/cache; "$@"'), {}));
  });
});
