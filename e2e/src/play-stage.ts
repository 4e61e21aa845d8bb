import { gatherEvidence } from "./report/gather-evidence.ts";
import type { Outcome, Result } from "./result.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import { Stage, type StageOptions } from "./stage/stage.ts";

/** Plays scenarios one after the other on one lab; `report` is told of each as it ends. */
export async function playStage(
  options: StageOptions,
  { scenarios, report }: { readonly scenarios: readonly Scenario[]; readonly report: (result: Result) => void },
): Promise<Stage | undefined> {
  const { dataPath, overlay } = options;
  const tell = ({ name, promise }: Scenario, outcome: Outcome) =>
    report({ scenario: name, promise, dataPath: dataPath.name, overlay, outcome });
  let stage: Stage;
  try {
    stage = await Stage.open(options);
  } catch (error) {
    for (const scenario of scenarios) {
      const reason = `The lab did not come up: ${messageOf(error)}`;
      tell(scenario, { kind: "failed", ms: 0, reason, evidence: "" });
    }
    return undefined;
  }
  try {
    for (const scenario of scenarios) tell(scenario, await play(stage, scenario));
    return stage;
  } finally {
    if (options.keep) stage.stopProbes();
    else await stage[Symbol.asyncDispose]();
  }
}

async function play(stage: Stage, scenario: Scenario): Promise<Outcome> {
  const reason = scenario.notApplicable?.(stage);
  if (reason !== undefined) return { kind: "not applicable", reason };
  const begun = performance.now();
  try {
    await scenario.play(stage);
    return { kind: "ok", ms: performance.now() - begun };
  } catch (error) {
    const ms = performance.now() - begun;
    const evidence = await gatherEvidence(stage, () => scenario.play(stage)).catch((fault) => messageOf(fault));
    return { kind: "failed", ms, reason: messageOf(error), evidence };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
