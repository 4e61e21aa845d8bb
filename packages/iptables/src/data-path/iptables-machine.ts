import type { FamilyCounts, HostNeeds, IptablesTools, Machine, Surroundings, Variant } from "@svcproxy/host";
import type { RuleSet } from "@svcproxy/rules";
import type { Problem } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import type { FlushOptions } from "../kernel/conntrack.ts";
import type { VariantChoice } from "../kernel/detect-variant.ts";
import type { RuleTables } from "../kernel/rule-tables.ts";
import type { RuleStyle } from "../rule-style.ts";

/** What the iptables data path asks of a machine: the kernel's, or one in memory. */
export interface IptablesMachine {
  /** @throws EnvironmentError NEEDS_ROOT, MISSING_TOOL, VARIANT_MISSING, LOCKED, INTERRUPTED */
  open(options: OpenOptions): Promise<OpenMachine>;
}

export interface OpenOptions {
  readonly signal: AbortSignal;
  readonly variant?: Variant | undefined;
  /** Whether rules will be changed, which only one svcproxy may do at a time. */
  readonly isExclusive: boolean;
  readonly onWait?: ((holder: number | undefined) => void) | undefined;
}

/** A network namespace's rules, and what is beside them. */
export interface OpenMachine extends AsyncDisposable, Pick<Machine, "readListeners" | "readHolders"> {
  readonly choice: VariantChoice;
  /** @param tools default the chosen variant */
  tables(tools?: IptablesTools): RuleTables;
  /** What the tools and the kernel can do of what rules may say. */
  abilities(options: { readonly signal: AbortSignal }): Promise<RuleAbilities>;
  /** @returns how many were deleted @throws EnvironmentError */
  deleteStaleUdpFlows(options: FlushOptions): Promise<FamilyCounts>;
  /** What of the machine, beside its rules, keeps a plan from working. */
  problemsWith(needs: HostNeeds, options: { readonly signal: AbortSignal }): Promise<readonly Problem[]>;
  /** What decides about packets beside the chosen variant's rules; undefined where it cannot be read. */
  surroundings(options: { readonly signal: AbortSignal }): Promise<IptablesSurroundings | undefined>;
  /** What is to be said where rules that kept neighbours off loopback are gone. */
  lostGuard(rules: LostGuardInput): Promise<Problem | undefined>;
}

export interface IptablesSurroundings extends Surroundings {
  /** Rules of the other variant, where it holds any. */
  readonly others: readonly RuleSet[];
}

export interface RuleAbilities {
  /** MASQUERADE knows `--random-fully`. */
  readonly randomFully: boolean;
  /** Packets that conntrack calls invalid are to be dropped: it is not liberal. */
  readonly dropInvalid: boolean;
}

export interface LostGuardInput {
  readonly before: readonly RuleSet[];
  readonly after: readonly DesiredRules[];
}

/** How the rules of ours in the chosen variant are written, where they say it. */
export function styleInForce({ choice: { available } }: Pick<OpenMachine, "choice">): RuleStyle | undefined {
  return available[0]?.style;
}

/** That another variant holds rules too, which the kernel asks as well. */
export function variantProblems({ choice: { problem } }: Pick<OpenMachine, "choice">): readonly Problem[] {
  return problem === undefined ? [] : [problem];
}
