import type { Result } from "../result.ts";

const WORDS = { ok: "ok", failed: "FAILED", "not applicable": "-" } as const;

/** Scenarios as rows, stages as columns; below, why a scenario is not applicable somewhere. */
export function renderMatrix(results: readonly Result[]): string {
  const stages = [...new Set(results.map(stageOf))];
  const scenarios = [...new Set(results.map(({ scenario }) => scenario))];
  const cell = (scenario: string, stage: string) => {
    const result = results.find((candidate) => candidate.scenario === scenario && stageOf(candidate) === stage);
    return result === undefined ? "" : WORDS[result.outcome.kind];
  };
  const rows = [
    ["", ...stages],
    ...scenarios.map((scenario) => [scenario, ...stages.map((stage) => cell(scenario, stage))]),
  ];
  const widths = ["", ...stages].map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const table = rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const reasons = new Map<string, string[]>();
  for (const result of results) {
    if (result.outcome.kind !== "not applicable") continue;
    const why = `${result.scenario}: ${result.outcome.reason}`;
    reasons.set(why, [...(reasons.get(why) ?? []), stageOf(result)]);
  }
  const notes = [...reasons].map(([why, where]) => `- ${why} (${where.join(", ")})`);
  return [...table, ...(notes.length === 0 ? [] : ["", "Not applicable:", ...notes]), ""].join("\n");
}

export function stageOf({ dataPath, overlay }: Pick<Result, "dataPath" | "overlay">): string {
  return `${dataPath}/${overlay}`;
}
