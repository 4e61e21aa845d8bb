import type { Family } from "@svcproxy/topology";
import type { Machine } from "../machine/machine.ts";
import { MissingTool } from "./run-tool.ts";

/** `nft`: iptables' rules kept in nftables; `legacy`: in the kernel's older tables. A machine may use both at once. */
export type Variant = "nft" | "legacy";

/** The programs of one variant. */
export interface IptablesTools {
  readonly variant: Variant;
  /** `-nft`, `-legacy`, or nothing where the machine has only one variant under the plain names. */
  readonly suffix: "-nft" | "-legacy" | "";
}

/** `iptables-nft-save`, `ip6tables-legacy-restore`, or `iptables`. */
export function toolName({ suffix }: IptablesTools, family: Family, action: "" | "-save" | "-restore"): string {
  return `${family === 4 ? "iptables" : "ip6tables"}${suffix}${action}`;
}

export interface InstalledIptables {
  readonly tools: IptablesTools;
  /** The plain name `iptables` means this one. */
  readonly isDefault: boolean;
}

/** The programs that this machine has for rules; whether its kernel has what they ask for is another question. */
export interface RuleTools {
  readonly iptables: readonly InstalledIptables[];
  readonly hasNft: boolean;
}

/** Looks for the programs on the PATH, and asks the plain `iptables` which variant it is. @throws EnvironmentError */
export async function findRuleTools(
  machine: Pick<Machine, "run" | "hasTool">,
  { signal }: { readonly signal: AbortSignal },
): Promise<RuleTools> {
  const plain = await plainVariant(machine, signal);
  const named = (["nft", "legacy"] as const)
    .map((variant): IptablesTools => ({ variant, suffix: `-${variant}` }))
    .filter((tools) => machine.hasTool(toolName(tools, 4, "-save")));
  const isNamed = plain === undefined || named.some(({ variant }) => variant === plain);
  const all: readonly IptablesTools[] = isNamed ? named : [...named, { variant: plain, suffix: "" }];
  return {
    iptables: all.map((tools) => ({ tools, isDefault: tools.variant === plain })),
    hasNft: machine.hasTool("nft"),
  };
}

/** What the plain `iptables` is. */
async function plainVariant(machine: Pick<Machine, "run">, signal: AbortSignal): Promise<Variant | undefined> {
  try {
    const { stdout } = await machine.run("iptables", ["-V"], { signal });
    return stdout.includes("nf_tables") ? "nft" : "legacy";
  } catch (error) {
    if (error instanceof MissingTool) return undefined;
    throw error;
  }
}
