import { defineProject } from "vitest/config";
import { EACH_PROJECT } from "../vitest.config.ts";

// What the scenarios stand on; they themselves run by `pnpm e2e`.
export default defineProject({ test: { name: "e2e", include: ["src/**/*.test.ts"], ...EACH_PROJECT } });
