import type { ConntrackEntry } from "../../conntrack/conntrack.ts";
import type { NamespaceLock } from "../../lock/lock-folder.ts";
import type { LockOptions } from "../../lock/namespace-lock.ts";
import type { AddressReading } from "../../machine/addresses.ts";
import { type Listener, listenersAt, type PortHolder } from "../../machine/listeners.ts";
import type { Machine } from "../../machine/machine.ts";
import type { PodNamespace } from "../../machine/pod-namespaces.ts";
import type { RunningProcess } from "../../machine/processes.ts";
import { MissingTool, type ToolOptions, type ToolOutput } from "../../tools/run-tool.ts";
import { MemoryConntrack } from "./memory-conntrack.ts";
import { MemoryIp } from "./memory-ip.ts";
import { MemoryLocks } from "./memory-locks.ts";

/** A program of a machine in memory. */
export type MemoryTool = (args: readonly string[], options: ToolOptions) => ToolOutput | Promise<ToolOutput>;

export interface MemoryMachineOptions {
  /** Beside those that every kernel has, or with another value; undefined: this kernel does not have it. */
  readonly sysctls?: Readonly<Record<string, string | undefined>>;
  /** Beside `ip`, `conntrack` and `sh`; undefined: the machine does not have it. */
  readonly tools?: Readonly<Record<string, MemoryTool | undefined>>;
  readonly linkKinds?: readonly string[];
  readonly hasNetAdmin?: boolean;
}

const SYSCTLS: Readonly<Record<string, string>> = {
  "net.ipv4.ip_forward": "0",
  "net.ipv6.conf.all.forwarding": "0",
  "net.ipv6.conf.all.disable_ipv6": "0",
  "net.ipv6.ip_nonlocal_bind": "0",
  "net.netfilter.nf_conntrack_tcp_be_liberal": "0",
  "net.netfilter.nf_conntrack_tcp_loose": "1",
};

const DEVICE_SYSCTLS = ["rp_filter", "accept_local", "route_localnet", "src_valid_mark", "forwarding"];

/** A machine in memory that answers and refuses as a real one does, as far as svcproxy asks; `describeMachine` shows it. */
export class MemoryMachine implements Machine {
  readonly sysctls: Map<string, string>;
  readonly ip: MemoryIp;
  readonly listeners: Listener[] = [];
  /** By the inode of their socket. */
  readonly holders = new Map<number, PortHolder>();
  /** Files of /proc by path. */
  readonly procFiles = new Map<string, string>();
  recentLists: Readonly<Record<string, readonly string[]>> | undefined;
  /** What was run, in order: `ip link set svcproxy0 up`. */
  readonly commands: string[] = [];
  readonly #hasNetAdmin: boolean;
  readonly #conntrack: MemoryConntrack;
  readonly #tools = new Map<string, MemoryTool>();
  readonly #locks = new MemoryLocks();

  constructor({ sysctls = {}, tools = {}, linkKinds, hasNetAdmin = true }: MemoryMachineOptions = {}) {
    this.#hasNetAdmin = hasNetAdmin;
    this.sysctls = new Map(Object.entries(SYSCTLS));
    for (const device of ["all", "default", "lo"]) this.#addDeviceSysctls(device);
    this.ip = new MemoryIp({
      linkKinds: linkKinds ?? ["dummy", "bridge"],
      hasNetAdmin,
      isIpv6Off: () => this.sysctls.get("net.ipv6.conf.all.disable_ipv6") === "1",
      onLink: (device) => this.#addDeviceSysctls(device),
    });
    this.#conntrack = new MemoryConntrack({ hasNetAdmin });
    for (const [name, value] of Object.entries(sysctls)) set(this.sysctls, { name, value });
    const known: Readonly<Record<string, MemoryTool>> = {
      ip: (args, { input = "" }) => this.ip.run(args, input),
      conntrack: (args, { input = "" }) => this.#conntrack.run(args, input),
      sh: (args, options) => this.#runShell(args, options),
    };
    for (const [name, value] of Object.entries({ ...known, ...tools })) set(this.#tools, { name, value });
  }

  get entries(): readonly ConntrackEntry[] {
    return this.#conntrack.entries;
  }

  track(...entries: readonly ConntrackEntry[]): void {
    this.#conntrack.entries.push(...entries);
  }

  readonly run: Machine["run"] = async (tool, args, options = {}) => {
    this.commands.push([tool, ...args].join(" "));
    const program = this.#tools.get(tool);
    if (program === undefined) throw new MissingTool(tool);
    return program(args, options);
  };

  readonly startTools: Machine["startTools"] = () => ({ run: this.run, async [Symbol.asyncDispose]() {} });

  hasTool(tool: string): boolean {
    return this.#tools.has(tool);
  }

  async hasNetAdmin(): Promise<boolean> {
    return this.#hasNetAdmin;
  }

  async readSysctl(name: string): Promise<string | undefined> {
    return this.sysctls.get(name);
  }

  async writeSysctl(name: string, value: string): Promise<boolean> {
    if (!this.#hasNetAdmin || !this.sysctls.has(name)) return false;
    this.sysctls.set(name, value);
    return true;
  }

  readAddresses(): AddressReading {
    const addresses = this.ip.links.flatMap(({ name, kind, isUp, addresses: ofLink }) =>
      ofLink.flatMap(({ address, prefixLength }) =>
        isUp ? [{ device: name, address, prefixLength, isLoopback: kind === "" }] : [],
      ),
    );
    return { addresses };
  }

  async readListeners(): Promise<readonly Listener[]> {
    return this.listeners;
  }

  async readHolders(inodes: ReadonlySet<number>): Promise<ReadonlyMap<number, PortHolder>> {
    return new Map([...this.holders].filter(([inode]) => inodes.has(inode)));
  }

  async readPods(): Promise<readonly PodNamespace[]> {
    return [];
  }

  async readProcesses(): Promise<readonly RunningProcess[]> {
    return [...this.holders.values()];
  }

  async readProcFile(path: string): Promise<string | undefined> {
    return this.procFiles.get(path);
  }

  async readRecentLists(): Promise<Readonly<Record<string, readonly string[]>> | undefined> {
    return this.recentLists;
  }

  /** A program listens from now on. */
  listen(socket: Omit<Listener, "inode">, holder: PortHolder): void {
    if (listenersAt(this.listeners, socket).length > 0) throw new Error(`port ${socket.port} is taken`);
    const inode = this.listeners.length + 1;
    this.listeners.push({ ...socket, inode });
    this.holders.set(inode, holder);
  }

  lock(options: LockOptions): Promise<NamespaceLock> {
    return this.#locks.take(options);
  }

  #addDeviceSysctls(device: string): void {
    for (const setting of DEVICE_SYSCTLS) this.sysctls.set(`net.ipv4.conf.${device}.${setting}`, "0");
  }

  /** The shell knows one thing: to give its input to a tool by a pipe. */
  async #runShell(args: readonly string[], options: ToolOptions): Promise<ToolOutput> {
    const [, tool = "", rest = ""] = /^cat \| (\S+) (.*)$/.exec(args[1] ?? "") ?? [];
    if (args[0] !== "-c" || tool === "") throw new TypeError(`a shell in memory cannot run: ${args.join(" ")}`);
    const program = this.#tools.get(tool);
    if (program === undefined) return { exitCode: 127, stdout: "", stderr: `sh: 1: ${tool}: not found\n` };
    return program(rest.split(" "), options);
  }
}

function set<T>(map: Map<string, T>, { name, value }: { readonly name: string; readonly value: T | undefined }): void {
  if (value === undefined) map.delete(name);
  else map.set(name, value);
}
