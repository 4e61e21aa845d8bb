import { defineProject } from "vitest/config";
import { SLOW_MACHINE } from "../../vitest.config.ts";

export default defineProject({ test: { name: "doctor", include: ["src/**/*.test.ts"], ...SLOW_MACHINE } });
