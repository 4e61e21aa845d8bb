import { defineConfig } from "vitest/config";

// One project per package; tests that load rules into a kernel are named `*.kernel.test.ts` and make their own namespaces.
export default defineConfig({
  test: {
    projects: ["packages/*", "e2e"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
