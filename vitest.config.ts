import { defineConfig } from "vitest/config";

/** Kernel tests start processes by the dozen: a busy machine is no failure. Projects do not inherit what stands below. */
export const SLOW_MACHINE = { testTimeout: 60_000, hookTimeout: 60_000 };

// One project per package; tests that load rules into a kernel are named `*.kernel.test.ts` and make their own namespaces.
export default defineConfig({ test: { projects: ["packages/*", "e2e"] } });
