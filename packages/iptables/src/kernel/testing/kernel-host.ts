import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runTool, type ToolRunner, type Variant } from "@svcproxy/host";
import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import { IptablesTables } from "../iptables-tables.ts";
import { TableBackend } from "../table-backend.ts";
import type { BackendHost } from "./backend-contract.ts";

/** A network namespace with a backend at work on its real rules, for tests. */
export interface KernelHost extends BackendHost {
  readonly namespace: NetworkNamespace;
  readonly tables: IptablesTables;
  /** For XTABLES_LOCKFILE: iptables-legacy's own lock is one for the whole machine, whatever the namespace. */
  readonly lockFile: string;
  /** What `dump` says, IPv4 and IPv6. */
  dumps(): Promise<readonly string[]>;
}

export interface KernelHostOptions {
  /** Changes what is fed to iptables-restore, to see it refused. */
  readonly edit?: (input: string) => string;
}

export async function createKernelHost(
  variant: Variant,
  { edit = (input) => input }: KernelHostOptions = {},
): Promise<KernelHost> {
  const namespace = await createNetworkNamespace();
  const lockFile = join(tmpdir(), `svcproxy-test-${namespace.pid}.lock`);
  const run: ToolRunner = (tool, args, options) =>
    runTool(
      "nsenter",
      [`--net=/proc/${namespace.pid}/ns/net`, "env", `XTABLES_LOCKFILE=${lockFile}`, tool, ...args],
      options?.input === undefined ? options : { ...options, input: edit(options.input) },
    );
  const dumps = async () => {
    const saved = ["iptables", "ip6tables"].map((tool) => namespace.run(`${tool}-${variant}-save`, []));
    return (await Promise.all(saved)).map(({ stdout }) => normalizeDump(stdout));
  };
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
    dumps,
    dump: async () => (await dumps()).join(""),
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
