import { defineProject } from "vitest/config";

export default defineProject({ test: { name: "iptables", include: ["src/**/*.test.ts"] } });
