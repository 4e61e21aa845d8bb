import { defineProject } from "vitest/config";
import { EACH_PROJECT } from "../../vitest.config.ts";

export default defineProject({
  test: { name: "cli", include: ["src/**/*.test.ts"], globalSetup: "src/testing/build-program.ts", ...EACH_PROJECT },
});
