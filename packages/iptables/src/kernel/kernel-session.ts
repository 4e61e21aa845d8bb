import { readFile } from "node:fs/promises";
import { DescriptorReserve, lockNamespace, type NamespaceLock, runTool } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import { detectVariant, type VariantChoice } from "./detect-variant.ts";
import { IptablesTables, type IptablesTools, toolName, type Variant } from "./iptables-tables.ts";
import { TableBackend } from "./table-backend.ts";

/** How long one svcproxy waits for another that changes the same rules. */
const LOCK_WAIT_MS = 60_000;

export interface SessionOptions {
  readonly signal: AbortSignal;
  readonly variant?: Variant | undefined;
  /** Whether rules will be changed, which only one svcproxy may do at a time. */
  readonly isExclusive: boolean;
  readonly onWait?: ((holder: number | undefined) => void) | undefined;
}

/** This network namespace's rules, opened for one command. */
export interface KernelSession extends AsyncDisposable {
  readonly choice: VariantChoice;
  /** @param tools another variant than the chosen one */
  tables(tools?: IptablesTools): IptablesTables;
  backend(tools?: IptablesTools): TableBackend;
}

/** @throws EnvironmentError NEEDS_ROOT, MISSING_TOOL, VARIANT_MISSING, LOCKED, RUNTIME_DIRECTORY, OUT_OF_DESCRIPTORS */
export async function openKernel({ signal, variant, isExclusive, onWait }: SessionOptions): Promise<KernelSession> {
  await requireNetAdmin();
  await using opened = new AsyncDisposableStack();
  const lock = isExclusive ? opened.use(await lockRules({ signal, onWait })) : undefined;
  const reserve = isExclusive ? opened.use(new DescriptorReserve()) : undefined;
  const choice = await detectVariant({ signal, variant });
  const tables = (tools = choice.tools) => new IptablesTables(tools, { heldFd: lock?.fd, reserve });
  const kept = opened.move();
  return {
    choice,
    tables,
    backend: (tools) => new TableBackend(tables(tools)),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/**
 * Only one svcproxy at a time changes the rules of a network namespace.
 *
 * @throws EnvironmentError LOCKED, INTERRUPTED, RUNTIME_DIRECTORY
 */
function lockRules({ signal, onWait }: Pick<SessionOptions, "signal" | "onWait">): Promise<NamespaceLock> {
  const deed = "has been changing the rules of this network namespace";
  return lockNamespace({ name: "rules", signal, waitMs: LOCK_WAIT_MS, deed, onWait });
}

/** CAP_NET_ADMIN, see capabilities(7). */
const NET_ADMIN_BIT = 12n;

async function requireNetAdmin(): Promise<void> {
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (effective === undefined || (BigInt(`0x${effective}`) >> NET_ADMIN_BIT) & 1n) return;
  throw new EnvironmentError("NEEDS_ROOT", "Cannot read or change the rules: this needs root (CAP_NET_ADMIN)", {
    hint: "Try it with sudo",
  });
}

/** Whether MASQUERADE knows `--random-fully`, which came with iptables 1.6.2. */
export async function knowsRandomFully(tools: IptablesTools, signal: AbortSignal): Promise<boolean> {
  const { stdout } = await runTool(toolName(tools, 4, ""), ["-V"], { signal });
  const [major = 0, minor = 0, patch = 0] = (/v(\d+)\.(\d+)\.(\d+)/.exec(stdout) ?? []).slice(1).map(Number);
  return major !== 1 ? major > 1 : minor !== 6 ? minor > 6 : patch >= 2;
}
