import { defineProject } from "vitest/config";
import { forBrowser } from "../../scripts/for-browser.ts";
import { SLOW_MACHINE } from "../../vitest.config.ts";

export default defineProject({
  plugins: [{ ...forBrowser(), enforce: "pre" }],
  test: { name: "page", include: ["src/**/*.test.{ts,tsx}"], ...SLOW_MACHINE },
});
