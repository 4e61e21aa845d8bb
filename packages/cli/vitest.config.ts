import { defineProject } from "vitest/config";
import { SLOW_MACHINE } from "../../vitest.config.ts";

export default defineProject({
  test: { name: "cli", include: ["src/**/*.test.ts"], globalSetup: "src/testing/build-program.ts", ...SLOW_MACHINE },
});
