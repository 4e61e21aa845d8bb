import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { environmentWithSbin, requireTools, runTool } from "@svcproxy/host";
import { EnvironmentError, type Topology } from "@svcproxy/topology";
import { explainRefusal } from "./explain-refusal.ts";
import type { ServedCount } from "./inside/answer-clients.ts";
import { INSIDE_FOLDER, type LabEvent, type LabOrder } from "./inside/lab-message.ts";
import { Lab } from "./lab.ts";
import type { Overlay } from "./plan/lab-plan.ts";
import { planLab } from "./plan/plan-lab.ts";
import { childrenOf, startTimeOf } from "./processes.ts";

export interface StartLabOptions {
  /** Default `svcproxy`. */
  readonly name?: string;
  /** Default `vxlan`. */
  readonly overlay?: Overlay;
  /** Strict reverse-path filtering; default true, as many distributions have it. */
  readonly rpFilter?: boolean;
  /** Whether the lab outlives this process; default false: it ends with us, kill -9 included. */
  readonly detached?: boolean;
  /** Files that every place finds below INSIDE_FOLDER, by name. */
  readonly files?: Readonly<Record<string, string>>;
  /** How a bundle without separate files runs `supervise`; default: this package's own file. */
  readonly insideProgram?: readonly string[];
}

export interface StartedLab extends AsyncDisposable {
  readonly lab: Lab;
  /** Milliseconds for the networks, and for the servers after them. */
  readonly networkMs: number;
  readonly serversMs: number;
  /** What this machine lacks, in sentences. */
  readonly warnings: readonly string[];
  /** Resolves when the lab has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Called as the pods serve; not for a detached lab. */
  onServed(listener: (counts: Readonly<Record<string, ServedCount>>) => void): void;
}

/**
 * Builds the network that a topology describes, with a server in each pod, and resolves once all of them answer.
 *
 * @throws EnvironmentError MISSING_TOOL, LAB_NO_NAMESPACES, LAB_FAILED and those of `planLab`
 */
export async function startLab(topology: Topology, options: StartLabOptions = {}): Promise<StartedLab> {
  const rootless = process.getuid?.() !== 0;
  requireTools(
    ["unshare", "nsenter", "mount", "ip", "bridge", ...(rootless ? ["setpriv", "setcap"] : [])],
    rootless ? "A lab without root" : "A lab",
  );
  const { overlay = "vxlan", rpFilter = true, detached = false, name = "svcproxy" } = options;
  const plan = planLab(topology, { overlay, rpFilter });
  const warnings = await loadBridgeFilter(rootless);
  const program = options.insideProgram ?? sourceProgram();
  const first = spawnFirst(program, rootless);
  const order: LabOrder = { plan, files: options.files ?? {}, attached: !detached };
  first.stdin?.on("error", () => {}); // it ended; the answer below says why
  first.stdin?.write(`${JSON.stringify(order)}\n`);
  const answer = await readAnswer(first);
  const pid = first.pid === undefined ? undefined : childrenOf(first.pid).at(0);
  const startTime = pid === undefined ? undefined : startTimeOf(pid);
  if (answer.kind === "failed") {
    first.kill("SIGKILL");
    throw answer.error;
  }
  if (pid === undefined || startTime === undefined) throw await explainRefusal("its first process is gone");
  const lab = new Lab({ name, pid, startTime, rootless, overlay, holders: answer.event.holders, places: plan.places });
  if (detached) letGo(first);
  const ended = once(first, "exit").then(() => {});
  return {
    lab,
    networkMs: answer.event.networkMs,
    serversMs: answer.event.serversMs,
    warnings,
    ended,
    onServed: (listener) => answer.listen(listener),
    async [Symbol.asyncDispose]() {
      await lab.down();
      if (!detached) await ended;
    },
  };
}

/** This package's program in its own file. Node without type stripping needs the loader that runs us. */
function sourceProgram(): readonly string[] {
  const loader = process.features.typescript === false ? process.execArgv : [];
  return [process.execPath, ...loader, join(import.meta.dirname, "inside/main.ts")];
}

/** The machine's module that lets bridged packets meet the rules; only root can load it. */
async function loadBridgeFilter(rootless: boolean): Promise<readonly string[]> {
  const isLoaded = () => existsSync("/proc/sys/net/bridge/bridge-nf-call-iptables");
  // Where it fails, the warning says what is missing.
  if (!isLoaded() && !rootless)
    await runTool("modprobe", ["br_netfilter"], { env: environmentWithSbin() }).catch(() => {});
  if (isLoaded()) return [];
  return [
    "The kernel module br_netfilter is not loaded: a VIP does not answer where client and endpoint share a bridge (sudo modprobe br_netfilter)",
  ];
}

/** Makes the lab's folder, and replaces itself with the lab's first process. */
const PREPARE = `mount -n -t tmpfs -o mode=0755 tmpfs /run && mkdir -p /run/netns ${INSIDE_FOLDER} && `;

const OWN_NAMESPACES = ["--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"];

/**
 * Two user namespaces, one in the other, for an ordinary user. In the inner one the user has their own uid (tcpdump and
 * others give up root's rights where they see uid 0) and all capabilities. The outer one, where the user is root, is there
 * to put capabilities on a file: by that file, `enterCommand` gets them back after nsenter, which loses them.
 */
const PREPARE_ROOTLESS = `${PREPARE}
cp "$(command -v setpriv)" ${INSIDE_FOLDER}/enter && setcap all=ep ${INSIDE_FOLDER}/enter &&
exec unshare --user --map-user="$1" --map-group="$2" --keep-caps ${OWN_NAMESPACES.join(" ")} -- sh -c 'shift 2; exec "$@"' sh "$@"`;

function spawnFirst(program: readonly string[], rootless: boolean): ChildProcess {
  const ids = [process.getuid?.() ?? 0, process.getgid?.() ?? 0].map(String);
  const args = rootless
    ? ["--user", "--map-root-user", "--mount", "sh", "-c", PREPARE_ROOTLESS, "sh", ...ids, ...program]
    : [...OWN_NAMESPACES, "sh", "-c", `${PREPARE} exec "$@"`, "sh", ...program];
  // A session of its own: what is typed at our terminal is not for it.
  return spawn("unshare", args, {
    stdio: ["pipe", "pipe", "pipe"],
    cwd: "/",
    detached: true,
    // `node:ffi` says that it is experimental, where nobody reads it.
    env: { ...environmentWithSbin(), NODE_NO_WARNINGS: "1" },
  });
}

type Answer =
  | {
      readonly kind: "ready";
      readonly event: Extract<LabEvent, { kind: "ready" }>;
      listen(listener: (counts: Readonly<Record<string, ServedCount>>) => void): void;
    }
  | { readonly kind: "failed"; readonly error: EnvironmentError };

async function readAnswer(first: ChildProcess): Promise<Answer> {
  let complaint = "";
  first.stderr?.on("data", (text) => {
    complaint += text;
  });
  const listeners: ((counts: Readonly<Record<string, ServedCount>>) => void)[] = [];
  if (first.stdout === null) throw new Error("the lab's stdout is not a pipe");
  const lines = createInterface({ input: first.stdout });
  const answer = Promise.withResolvers<Answer>();
  lines.on("line", (line) => {
    const event: LabEvent = JSON.parse(line);
    if (event.kind === "ready")
      answer.resolve({ kind: "ready", event, listen: (listener) => listeners.push(listener) });
    else if (event.kind === "failed") {
      const error = new EnvironmentError("LAB_FAILED", `Cannot build the lab: ${event.reason}`);
      answer.resolve({ kind: "failed", error });
    } else for (const listener of listeners) listener(event.counts);
  });
  const fail = async (reason: string) => answer.resolve({ kind: "failed", error: await explainRefusal(reason) });
  first.once("error", (error) => void fail(error.message));
  first.once("close", () => void fail(complaint));
  return answer.promise;
}

/** From here on the lab runs for itself. */
function letGo(first: ChildProcess): void {
  for (const stream of [first.stdin, first.stdout, first.stderr]) stream?.destroy();
  first.unref();
}
