import { execFile } from "node:child_process";
import { chown, copyFile, mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const launcher = resolve(import.meta.dirname, "../../../../scripts/svcproxy");
const BUNDLE = "packages/cli/dist/main.cjs";
const SOURCE = "packages/rules/src/trace.ts";

/** Says what it is asked to run, and makes an empty bundle where that is the build, or fails there. */
const NODE = `#!/bin/sh
case $1 in
  */build.ts)
    [ ! -e "$(dirname "$1")/broken" ] || exit 1
    mkdir -p "$(dirname "$1")/dist"
    touch "$(dirname "$1")/dist/main.cjs" "$(dirname "$1")/built"
    ;;
  *) echo "$(basename "$1") $2" ;;
esac
`;

/** A checkout whose workspace is installed, and whose files are all an hour old. */
async function makeCheckout() {
  const root = await mkdtemp(join(tmpdir(), "svcproxy-launcher-"));
  onTestFinished(() => rm(root, { recursive: true }));
  const write = async (path: string, { text = "", ageSeconds = 3600 } = {}) => {
    const file = join(root, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text, { mode: 0o755 });
    await age(file, ageSeconds);
    await age(dirname(file), ageSeconds);
  };
  await write("node_modules/node/bin/node", { text: NODE });
  for (const path of ["pnpm-lock.yaml", "node_modules/.pnpm/lock.yaml", "packages/cli/src/main.ts", SOURCE])
    await write(path);
  for (const name of ["build.ts", "package.json"]) await write(`packages/cli/${name}`);
  await mkdir(join(root, "scripts"));
  await copyFile(launcher, join(root, "scripts/svcproxy"));
  const run = async () => (await promisify(execFile)(join(root, "scripts/svcproxy"), ["check"])).stdout;
  /** Whether the build ran since this was asked last. */
  const wasBuilt = () =>
    rm(join(root, "packages/cli/built")).then(
      () => true,
      () => false,
    );
  return { root, write, run, wasBuilt };
}

function age(path: string, seconds: number): Promise<void> {
  const then = Date.now() / 1000 - seconds;
  return utimes(path, then, then);
}

test("the first use bundles the sources, and later ones run the bundle", async () => {
  const { run, wasBuilt } = await makeCheckout();
  expect(await run()).toBe("svcproxy.cjs check\n");
  expect(await wasBuilt()).toBe(true);
  expect(await run()).toBe("svcproxy.cjs check\n");
  expect(await wasBuilt()).toBe(false);
});

test("a source that is younger than the bundle, or gone, makes it anew; a test does not", async () => {
  const { root, run, wasBuilt, write } = await makeCheckout();
  await run();
  await wasBuilt();
  await age(join(root, BUNDLE), 1800);
  await write("packages/rules/src/trace.test.ts", { ageSeconds: 60 });
  await age(join(root, "packages/rules/src"), 3600);
  await run();
  expect(await wasBuilt()).toBe(false);

  await write(SOURCE, { ageSeconds: 60 });
  await run();
  expect(await wasBuilt()).toBe(true);

  await age(join(root, BUNDLE), 30);
  await rm(join(root, SOURCE));
  await run();
  expect(await wasBuilt()).toBe(true);
});

test("sources that cannot be bundled run themselves, to say why", async () => {
  const { run, write } = await makeCheckout();
  await write("packages/cli/broken");
  expect(await run()).toBe("main.ts check\n");
});

test.skipIf(process.getuid?.() !== 0)("in somebody else's checkout root bundles nothing", async () => {
  const { root, run, wasBuilt } = await makeCheckout();
  await chown(join(root, "packages/cli"), 65534, 65534);
  expect(await run()).toBe("main.ts check\n");
  expect(await wasBuilt()).toBe(false);
});
