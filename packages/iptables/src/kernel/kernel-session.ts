import {
  DescriptorReserve,
  type IptablesTools,
  lockRules,
  type Machine,
  requireNetAdmin,
  thisMachine,
  toolName,
  type Variant,
} from "@svcproxy/host";
import { detectVariant, type VariantChoice } from "./detect-variant.ts";
import { IptablesTables } from "./iptables-tables.ts";

export interface SessionOptions {
  readonly signal: AbortSignal;
  readonly variant?: Variant | undefined;
  /** Whether rules will be changed, which only one svcproxy may do at a time. */
  readonly isExclusive: boolean;
  /** Default: the one that we run on. */
  readonly machine?: Machine;
  readonly onWait?: ((holder: number | undefined) => void) | undefined;
}

/** This network namespace's rules, opened for one command. */
export interface KernelSession extends AsyncDisposable {
  readonly choice: VariantChoice;
  /** @param tools another variant than the chosen one */
  tables(tools?: IptablesTools): IptablesTables;
}

/** @throws EnvironmentError NEEDS_ROOT, MISSING_TOOL, VARIANT_MISSING, LOCKED, RUNTIME_DIRECTORY, OUT_OF_DESCRIPTORS */
export async function openKernel(options: SessionOptions): Promise<KernelSession> {
  const { signal, variant, isExclusive, onWait, machine = thisMachine } = options;
  await requireNetAdmin(machine);
  await using opened = new AsyncDisposableStack();
  const lock = isExclusive ? opened.use(await lockRules(machine, { signal, onWait })) : undefined;
  const reserve = isExclusive ? opened.use(new DescriptorReserve()) : undefined;
  // A process that keeps thousands of services in mind takes long to start a tool.
  const { run } = opened.use(machine.startTools({ heldFd: lock?.fd }));
  const choice = await detectVariant({ signal, variant, machine });
  const tables = (tools = choice.tools) => new IptablesTables(tools, { heldFd: lock?.fd, reserve, run });
  const kept = opened.move();
  return {
    choice,
    tables,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Whether MASQUERADE knows `--random-fully`, which came with iptables 1.6.2. */
export async function knowsRandomFully(
  tools: IptablesTools,
  signal: AbortSignal,
  { machine = thisMachine }: { readonly machine?: Machine } = {},
): Promise<boolean> {
  const { stdout } = await machine.run(toolName(tools, 4, ""), ["-V"], { signal });
  const [major = 0, minor = 0, patch = 0] = (/v(\d+)\.(\d+)\.(\d+)/.exec(stdout) ?? []).slice(1).map(Number);
  return major !== 1 ? major > 1 : minor !== 6 ? minor > 6 : patch >= 2;
}
