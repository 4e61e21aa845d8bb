import { readRecentLists } from "../conntrack/recent-lists.ts";
import type { NamespaceLock } from "../lock/lock-folder.ts";
import { type LockOptions, lockNamespace } from "../lock/namespace-lock.ts";
import { runExplained } from "../tools/explain-crash.ts";
import type { ToolRunner } from "../tools/run-tool.ts";
import { hasTool } from "../tools/tool-path.ts";
import { ToolShell, type ToolStarter } from "../tools/tool-shell.ts";
import { type AddressReading, readAddresses } from "./addresses.ts";
import { type Listener, type PortHolder, readHolders, readListeners } from "./listeners.ts";
import { hasNetAdmin } from "./net-admin.ts";
import { type PodNamespace, readPodNamespaces } from "./pod-namespaces.ts";
import { type RunningProcess, readProcesses, readProcFile } from "./processes.ts";
import { readSysctl, writeSysctl } from "./sysctls.ts";

/**
 * The machine on which we run, as a process of this user sees it from this network namespace: all calls by which it is asked and changed.
 * What else this package knows of it is made of these.
 */
export interface Machine {
  readonly run: ToolRunner;
  /** What runs many tools at less cost. @param options.heldFd stays open in each of them */
  startTools(options: { readonly heldFd?: number | undefined }): ToolStarter;
  hasTool(tool: string): boolean;
  hasNetAdmin(): Promise<boolean>;
  readSysctl(name: string): Promise<string | undefined>;
  writeSysctl(name: string, value: string): Promise<boolean>;
  readAddresses(): AddressReading;
  readListeners(): Promise<readonly Listener[]>;
  readHolders(inodes: ReadonlySet<number>): Promise<ReadonlyMap<number, PortHolder>>;
  readProcesses(): Promise<readonly RunningProcess[]>;
  /** The other network namespaces of this machine, as its pods have them. */
  readPods(): Promise<readonly PodNamespace[]>;
  /** A file of /proc, `/proc/net/snmp`; undefined where this kernel does not have it, or it may not be read. */
  readProcFile(path: string): Promise<string | undefined>;
  readRecentLists(): Promise<Readonly<Record<string, readonly string[]>> | undefined>;
  lock(options: LockOptions): Promise<NamespaceLock>;
}

export const thisMachine: Machine = {
  run: runExplained,
  startTools: (options) => new ToolShell(options),
  hasTool,
  hasNetAdmin,
  readSysctl,
  writeSysctl,
  readAddresses,
  readListeners,
  readHolders,
  readProcesses,
  readPods: () => readPodNamespaces(),
  readProcFile,
  readRecentLists,
  lock: lockNamespace,
};
