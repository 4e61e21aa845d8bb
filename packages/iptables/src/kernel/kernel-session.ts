import { readFile } from "node:fs/promises";
import { EnvironmentError } from "@svcproxy/topology";
import { detectVariant, type VariantChoice } from "./detect-variant.ts";
import { IptablesTables, type IptablesTools, toolName, type Variant } from "./iptables-tables.ts";
import { lockNamespace, type NamespaceLock } from "./namespace-lock.ts";
import { runTool } from "./run-tool.ts";
import { TableBackend } from "./table-backend.ts";

/** How long one svcproxy waits for another that changes the same rules. */
const LOCK_WAIT_MS = 60_000;

export interface SessionOptions {
  readonly signal: AbortSignal;
  readonly variant?: Variant | undefined;
  /** Whether rules will be changed, which only one svcproxy may do at a time. */
  readonly isExclusive: boolean;
  readonly onWait?: (holder: number | undefined) => void;
}

/** This network namespace's rules, opened for one command. */
export interface KernelSession extends AsyncDisposable {
  readonly choice: VariantChoice;
  /** @param tools another variant than the chosen one */
  backend(tools?: IptablesTools): TableBackend;
}

/** @throws EnvironmentError NEEDS_ROOT, MISSING_TOOL, VARIANT_MISSING, LOCKED */
export async function openKernel({ signal, variant, isExclusive, onWait }: SessionOptions): Promise<KernelSession> {
  await requireNetAdmin();
  const lock: NamespaceLock | undefined = isExclusive
    ? await lockNamespace({ signal, waitMs: LOCK_WAIT_MS, ...(onWait === undefined ? {} : { onWait }) })
    : undefined;
  try {
    const choice = await detectVariant({ signal, variant });
    return {
      choice,
      backend: (tools = choice.tools) => new TableBackend(new IptablesTables(tools, { heldFd: lock?.fd })),
      [Symbol.asyncDispose]: async () => lock?.[Symbol.asyncDispose](),
    };
  } catch (error) {
    await lock?.[Symbol.asyncDispose]();
    throw error;
  }
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
