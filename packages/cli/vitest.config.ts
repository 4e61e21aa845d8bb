import { defineProject } from "vitest/config";
import { forBrowser } from "../../scripts/for-browser.ts";
import { EACH_PROJECT } from "../../vitest.config.ts";

export default defineProject({
  plugins: [{ ...forBrowser(), enforce: "pre" }],
  test: { name: "cli", include: ["src/**/*.test.ts"], globalSetup: "src/testing/build-program.ts", ...EACH_PROJECT },
});
