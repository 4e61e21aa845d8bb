import {
  findRuleTools,
  type InstalledIptables,
  type IptablesTools,
  type Machine,
  MissingTool,
  thisMachine,
  toolName,
  type Variant,
} from "@svcproxy/host";
import { EnvironmentError, type Problem } from "@svcproxy/topology";
import type { RuleStyle } from "../rule-style.ts";
import { MARKER_CHAIN, readStyle } from "./own-chains.ts";
import { knownFault } from "./restore-fault.ts";

/** Which iptables to use, and why, in words for a log. */
export interface VariantChoice {
  readonly tools: IptablesTools;
  readonly reason: string;
  /** Where the other variant holds rules too, which then both apply. */
  readonly problem?: Problem;
  /** Every variant that the machine has, the chosen one first. */
  readonly available: readonly VariantSurvey[];
}

/** What one variant holds, both families together. */
export interface VariantSurvey {
  readonly tools: IptablesTools;
  readonly ruleCount: number;
  readonly hasOurMarker: boolean;
  /** How our rules there are written, where they say it. */
  readonly style?: RuleStyle | undefined;
  /** The kubelet names in a chain which variant it uses. */
  readonly hasKubeletHint: boolean;
  /** The plain name `iptables` means this one. */
  readonly isDefault: boolean;
}

const OUR_MARK = new RegExp(`^:${MARKER_CHAIN}[ -]`, "m");
const KUBELET_HINT = /^:(KUBE-IPTABLES-HINT|KUBE-KUBELET-CANARY) /m;

/**
 * Looks where rules already live, as the Kubernetes iptables wrappers do.
 *
 * @throws EnvironmentError MISSING_TOOL, VARIANT_MISSING, NEEDS_ROOT
 */
export async function detectVariant({
  signal,
  variant,
  machine = thisMachine,
}: {
  readonly signal: AbortSignal;
  readonly variant?: Variant | undefined;
  readonly machine?: Machine;
}): Promise<VariantChoice> {
  const surveys = await surveyVariants(machine, signal);
  return chooseVariant(surveys, variant);
}

async function surveyVariants(machine: Machine, signal: AbortSignal): Promise<readonly VariantSurvey[]> {
  const { iptables } = await findRuleTools(machine, { signal });
  const surveys = await Promise.allSettled(
    iptables.map((installed) => surveyVariant(machine, { ...installed, signal })),
  );
  const found: VariantSurvey[] = [];
  let denied: EnvironmentError | undefined;
  for (const survey of surveys) {
    if (survey.status === "fulfilled") found.push(survey.value);
    else if (survey.reason instanceof EnvironmentError && survey.reason.code === "NEEDS_ROOT") denied = survey.reason;
    else throw survey.reason;
  }
  // In a user namespace that does not map root, /proc keeps legacy's tables from us, whatever our capabilities; nft's are open.
  if (found.length === 0 && denied !== undefined) throw denied;
  if (found.length === 0) {
    throw new EnvironmentError("MISSING_TOOL", "Cannot find iptables on this machine", {
      hint: "Install it, on Debian or Ubuntu with: apt-get install iptables (PATH must lead to it, often by /usr/sbin)",
    });
  }
  return found;
}

async function surveyVariant(
  machine: Machine,
  { tools, isDefault, signal }: InstalledIptables & { readonly signal: AbortSignal },
): Promise<VariantSurvey> {
  const dumps = await Promise.all(
    ([4, 6] as const).map((family) => dump(machine, { tool: toolName(tools, family, "-save"), signal })),
  );
  const text = dumps.join("");
  return {
    tools,
    isDefault,
    ruleCount: text.match(/^-A /gm)?.length ?? 0,
    hasOurMarker: OUR_MARK.test(text),
    style: readStyle([...text.matchAll(/^:(\S+) /gm)].map(([, name = ""]) => name)),
    hasKubeletHint: KUBELET_HINT.test(text),
  };
}

/** @returns nothing where the tool is missing, as that for IPv6 may be, and of a variant that the kernel does not have */
async function dump(
  machine: Machine,
  { tool, signal }: { readonly tool: string; readonly signal: AbortSignal },
): Promise<string> {
  try {
    const output = await machine.run(tool, [], { signal });
    const known = output.exitCode === 0 ? undefined : knownFault(output.stderr);
    if (known?.code === "NEEDS_ROOT")
      throw new EnvironmentError(known.code, `Cannot read the rules: ${known.reason}`, known);
    return output.exitCode === 0 ? output.stdout : "";
  } catch (error) {
    if (error instanceof MissingTool) return "";
    throw error;
  }
}

export function chooseVariant(surveys: readonly VariantSurvey[], wanted: Variant | undefined): VariantChoice {
  const { chosen, reason } = wanted === undefined ? byEvidence(surveys) : asWanted(surveys, wanted);
  const others = surveys.filter((survey) => survey !== chosen);
  const rival = others.find(({ ruleCount }) => ruleCount > 0);
  return {
    tools: chosen.tools,
    reason,
    ...(rival === undefined ? {} : { problem: rivalProblem(chosen, rival) }),
    available: [chosen, ...others],
  };
}

function rivalProblem(chosen: VariantSurvey, rival: VariantSurvey): Problem {
  const name = `iptables-${rival.tools.variant}`;
  const rules = `${name} holds ${rival.ruleCount} rules too, and the kernel asks both`;
  const problem = { code: "RULES_IN_BOTH_VARIANTS", severity: "warning", subject: name } as const;
  return rival.hasOurMarker
    ? {
        ...problem,
        text: `${rules}; some are ours`,
        hint: `remove them with: svcproxy iptables cleanup --variant ${rival.tools.variant}`,
      }
    : { ...problem, text: `${rules}; ours go to iptables-${chosen.tools.variant}` };
}

function asWanted(surveys: readonly VariantSurvey[], wanted: Variant): { chosen: VariantSurvey; reason: string } {
  const chosen = surveys.find(({ tools }) => tools.variant === wanted);
  if (chosen !== undefined) return { chosen, reason: "--variant names it" };
  throw new EnvironmentError("VARIANT_MISSING", `Cannot use iptables-${wanted}: it is not on this machine`, {
    hint: `This machine has: ${surveys.map(({ tools }) => `iptables-${tools.variant}`).join(", ")}`,
  });
}

function byEvidence(surveys: readonly VariantSurvey[]): { chosen: VariantSurvey; reason: string } {
  const [first, ...more] = surveys;
  if (first === undefined) throw new TypeError("no variant to choose from");
  if (more.length === 0) return { chosen: first, reason: "it is the only one on this machine" };
  const only = (test: (survey: VariantSurvey) => boolean) => {
    const [match, ...rest] = surveys.filter(test);
    return rest.length === 0 ? match : undefined;
  };
  const ours = only(({ hasOurMarker }) => hasOurMarker);
  if (ours !== undefined) return { chosen: ours, reason: "our rules already live there" };
  const kubelet = only(({ hasKubeletHint }) => hasKubeletHint);
  if (kubelet !== undefined) return { chosen: kubelet, reason: "a kubelet uses it" };
  const most = Math.max(...surveys.map(({ ruleCount }) => ruleCount));
  const fullest = most === 0 ? undefined : only(({ ruleCount }) => ruleCount === most);
  if (fullest !== undefined) {
    const counts = surveys.map(({ tools, ruleCount }) => `iptables-${tools.variant} ${ruleCount}`).join(", ");
    return { chosen: fullest, reason: `most rules live there (${counts})` };
  }
  const usual = surveys.find(({ isDefault }) => isDefault) ?? first;
  return {
    chosen: usual,
    reason:
      most === 0
        ? "no rules yet, and it is this system's default"
        : "both hold as many rules, and it is this system's default",
  };
}
