import { defineProject } from "vitest/config";

export default defineProject({ test: { name: "userspace", include: ["src/**/*.test.ts"] } });
