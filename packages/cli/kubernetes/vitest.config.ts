import process from "node:process";
import { defineConfig } from "vitest/config";

const NEEDED = ["KUBE_APISERVER", "ETCD", "KUBE_PROXY"];
const missing = NEEDED.filter((name) => !process.env[name]);
if (missing.length > 0) {
  process.stderr.write(
    `pnpm test:kubernetes runs the real programs, and needs their paths in ${missing.join(", ")} (and kubectl on the PATH, or in KUBECTL): with Go, they are \
ordinary modules (k8s.io/kubernetes/cmd/kube-apiserver, …/kube-proxy, …/kubectl, go.etcd.io/etcd/server/v3)\n`,
  );
  process.exit(1);
}

/** Against a real control plane; not among the tests that `pnpm test` runs, which bring a server of their own. */
export default defineConfig({
  test: {
    name: "kubernetes",
    root: new URL("..", import.meta.url).pathname,
    include: ["kubernetes/**/*.test.ts"],
    globalSetup: "src/testing/build-program.ts",
    testTimeout: 300_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
});
