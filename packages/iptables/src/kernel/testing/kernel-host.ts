import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runTool, type ToolRunner } from "@svcproxy/host";
import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import { IptablesTables, type Variant } from "../iptables-tables.ts";
import { TableBackend } from "../table-backend.ts";
import type { BackendHost } from "./backend-contract.ts";

/** A network namespace with a backend at work on its real rules, for tests. */
export interface KernelHost extends BackendHost {
  readonly namespace: NetworkNamespace;
  readonly tables: IptablesTables;
  /** For XTABLES_LOCKFILE: iptables-legacy's own lock is one for the whole machine, whatever the namespace. */
  readonly lockFile: string;
}

export async function createKernelHost(variant: Variant): Promise<KernelHost> {
  const namespace = await createNetworkNamespace();
  const lockFile = join(tmpdir(), `svcproxy-test-${namespace.pid}.lock`);
  const run: ToolRunner = (tool, args, options) =>
    runTool(
      "nsenter",
      [`--net=/proc/${namespace.pid}/ns/net`, "env", `XTABLES_LOCKFILE=${lockFile}`, tool, ...args],
      options,
    );
  const tables = new IptablesTables({ variant, suffix: `-${variant}` }, { run });
  return {
    namespace,
    tables,
    lockFile,
    backend: new TableBackend(tables),
    async run(script) {
      const named = script.replaceAll(/^(ip6?tables) /gm, `$1-${variant} -w 10 `);
      await namespace.run("env", [`XTABLES_LOCKFILE=${lockFile}`, "sh", "-e"], { input: named });
    },
    async dump() {
      const { stdout: v4 } = await namespace.run(`iptables-${variant}-save`, []);
      const { stdout: v6 } = await namespace.run(`ip6tables-${variant}-save`, []);
      return normalizeDump(v4 + v6);
    },
    async [Symbol.asyncDispose]() {
      await namespace[Symbol.asyncDispose]();
      await rm(lockFile, { force: true });
    },
  };
}

/** What iptables-save prints, without comments, counters and tables that hold nothing. */
export function normalizeDump(text: string): string {
  const tables = text
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/ \[\d+:\d+\]$/gm, "")
    .split(/(?<=^COMMIT\n)/m);
  return tables.filter((table) => /^(-A |:\S+ (-|DROP)$)/m.test(table)).join("");
}
