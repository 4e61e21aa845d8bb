import { defineProject } from "vitest/config";

// A lab takes a second or two to come up, more where the machine has other work.
export default defineProject({
  test: { name: "lab", include: ["src/**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000 },
});
