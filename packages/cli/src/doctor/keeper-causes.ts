import { askAgent, type HostAgentStatus, isAgentRunning, isHostAgentStatus } from "@svcproxy/agent";
import type { Cause, CauseCode } from "@svcproxy/doctor";
import { type LockHolder, readXtablesLockHolder } from "@svcproxy/host";
import { EnvironmentError, formatProblem, type Problem } from "@svcproxy/topology";
import { leftOverProblems } from "../agent/left-over.ts";

/** What is wrong with rules where nobody keeps them. */
const OF_RULES: ReadonlySet<string> = new Set<CauseCode>(["RULES_MISSING", "RULES_OUTDATED", "MASQUERADE_MISSING"]);

/**
 * What is wrong with whoever keeps the rules of a host: an agent that died and left them, one that does not follow its source, a program
 * that lets nobody change them. Services that somebody applies by hand have no keeper, and miss none.
 *
 * @param options.found what was found else: an agent that is behind, or a lock that is held, is a cause where rules are not as planned
 * @param options.lockedAtFirst who held the lock of iptables when the look began
 */
export async function keeperCauses(
  context: { readonly signal: AbortSignal },
  {
    host,
    found,
    lockedAtFirst,
  }: { readonly host: string; readonly found: readonly Cause[]; readonly lockedAtFirst: LockHolder | undefined },
): Promise<readonly Cause[]> {
  const base = { host, sufferers: [], effects: [], remedy: [] } as const;
  const isWrong = found.some(({ code }) => OF_RULES.has(code));
  const isKept = await isAgentRunning();
  const left = isKept ? [] : await leftOverProblems(context);
  const ofAgent = isKept ? await agentCauses(isWrong) : [];
  const locked = isWrong ? await lockCause(lockedAtFirst) : undefined;
  return [
    ...left.map((problem) => ({ ...base, ...goneCause(problem) })),
    ...ofAgent.map((cause) => ({ ...base, ...cause })),
    ...(locked === undefined ? [] : [{ ...base, ...locked }]),
  ];
}

type OwnCause = Pick<Cause, "code" | "severity" | "subject" | "text" | "evidence" | "suspect" | "hint">;

function goneCause({ text, hint }: Problem): OwnCause {
  return {
    ...{ code: "AGENT_GONE", severity: "warning", subject: "svcproxy run", text },
    evidence: ["no svcproxy run answers on this host, and what it wrote is still here"],
    suspect: "an agent that was killed, or that nothing starts any more",
    ...(hint === undefined ? {} : { hint }),
  };
}

/** What the agent tells of itself; none where it is of another version. @param isWrong whether rules are not as planned */
async function agentCauses(isWrong: boolean): Promise<readonly OwnCause[]> {
  try {
    const { value } = await askAgent("GET /v1/status");
    if (!isHostAgentStatus(value)) return [];
    return [...contestedCause(value), ...(isWrong ? behindCause(value) : [])];
  } catch (error) {
    // One that ends just now.
    if (error instanceof EnvironmentError) return [];
    throw error;
  }
}

/** Another program that undoes again and again what the agent mends, be it another agent that does not see its lock. */
function contestedCause({ pid, problems, kernel: { mended, lastMended } }: HostAgentStatus): readonly OwnCause[] {
  return problems
    .filter(({ code }) => code === "RULES_CONTESTED")
    .map(({ text, hint }) => ({
      ...{ code: "RULES_CONTESTED", severity: "error", subject: "svcproxy run", text },
      evidence: [
        `svcproxy status: pid ${pid} has mended what is its own ${mended} times`,
        ...(lastMended === undefined
          ? []
          : [`the last time at ${lastMended.at}${nameOf(lastMended)}: ${lastMended.what.slice(0, 2).join(", ")}`]),
      ],
      suspect: "another service proxy, or a firewall that loads its own rules again",
      ...(hint === undefined ? {} : { hint }),
    }));
}

function nameOf({ pid, program }: { readonly pid?: number; readonly program?: string }): string {
  return pid === undefined ? "" : `, after ${program ?? "a program"} (pid ${pid})`;
}

function behindCause(status: HostAgentStatus): readonly OwnCause[] {
  const evidence = whatHoldsItUp(status);
  if (evidence.length === 0) return [];
  return [
    {
      ...{ code: "AGENT_BEHIND", severity: "error", subject: "svcproxy run" },
      text: `The agent of this host (pid ${status.pid}) is behind its source, so rules stay as they were`,
      evidence: [`svcproxy status: ${status.state}, it follows ${status.source.name}`, ...evidence],
      hint: "svcproxy status tells all of it; a change that is held back waits for svcproxy confirm",
    },
  ];
}

function whatHoldsItUp({ state, source, held, failure }: HostAgentStatus): readonly string[] {
  const { fault, lastHeardAt } = source;
  const [first] = fault?.problems ?? [];
  return [
    ...(fault === undefined
      ? []
      : [`its source has a fault since ${fault.since}${first === undefined ? "" : `: ${formatProblem(first)}`}`]),
    ...(state === "stale" ? [`its source has said nothing since ${lastHeardAt ?? "it began"}`] : []),
    ...(held === undefined ? [] : [`a change is held back since ${held.since}`]),
    ...(failure === undefined
      ? []
      : [`its last plan could not be carried out, since ${failure.since}: ${formatProblem(failure.problem)}`]),
  ];
}

async function lockCause(atFirst: LockHolder | undefined): Promise<OwnCause | undefined> {
  if (atFirst === undefined) return undefined;
  const now = await readXtablesLockHolder();
  if (now === undefined || now.pid !== atFirst.pid) return undefined;
  const who = now.command ?? "a program";
  return {
    ...{ code: "RULES_LOCK_HELD", severity: "error", subject: `lock ${now.path}` },
    text: `${who} (pid ${now.pid}) holds the lock of iptables, so that nobody else can change its rules`,
    evidence: [`/proc/locks: pid ${now.pid} had ${now.path} when the look began, and has it still`],
    suspect: who,
    hint: `Look what it does (ps ${now.pid}); where it hangs, end it`,
  };
}
