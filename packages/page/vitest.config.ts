import { defineProject } from "vitest/config";
import { forBrowser } from "../../scripts/for-browser.ts";
import { EACH_PROJECT } from "../../vitest.config.ts";

export default defineProject({
  plugins: [{ ...forBrowser(), enforce: "pre" }],
  test: { name: "page", include: ["src/**/*.test.{ts,tsx}"], ...EACH_PROJECT },
});
