import { defineProject } from "vitest/config";
import { EACH_PROJECT } from "../../vitest.config.ts";

export default defineProject({ test: { name: "topology", include: ["src/**/*.test.ts"], ...EACH_PROJECT } });
