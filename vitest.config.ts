import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import process from "node:process";
import { defineConfig } from "vitest/config";
import { COMPILE_CACHE } from "./scripts/run-step.ts";

/** For each project, which inherits nothing of what stands below. Kernel tests start processes by the dozen: a busy machine is no failure. */
export const EACH_PROJECT = {
  // Kernel tests wait more than they work. On two processors vitest would take one worker, and so run one file after the other.
  maxWorkers: availableParallelism() + 1,
  // A worker loads each module once, and not again for each file: a third of the processor time of most packages.
  isolate: false,
  testTimeout: 300_000,
  hookTimeout: 300_000,
  expect: { poll: { timeout: 30_000, interval: 20 } },
  setupFiles: [resolve(import.meta.dirname, "scripts/set-up-tests.ts")],
};

/** The devDependency `node` is of this version; sources are run as they are, and use what older ones lack. */
const NEEDED_NODE = 26;

if (Number.parseInt(process.versions.node, 10) < NEEDED_NODE) {
  process.stderr.write(
    `The tests need Node ${NEEDED_NODE}, and this is ${process.version}: run them by \`npx -y pnpm@12 exec vitest run\`, or put node_modules/.bin of this checkout first on the PATH\n`,
  );
  process.exit(1);
}

// Programs that tests start from the sources strip and compile them once, and not each time anew.
process.env["NODE_COMPILE_CACHE"] ??= COMPILE_CACHE;

// One project per package; tests that load rules into a kernel are named `*.kernel.test.ts` and make their own namespaces.
const scripts = { test: { name: "scripts", include: ["scripts/**/*.test.ts"], ...EACH_PROJECT } };
export default defineConfig({
  test: { projects: ["packages/*", "e2e", scripts], maxWorkers: EACH_PROJECT.maxWorkers },
});
