import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, resolve } from "node:path";
import process from "node:process";
import { saveLab } from "@svcproxy/lab";
import { SvcproxyError } from "@svcproxy/topology";
import { playStage } from "./play-stage.ts";
import { type E2eFlags, HELP, readFlags } from "./read-flags.ts";
import { renderJUnit } from "./report/render-junit.ts";
import { renderMatrix, stageOf } from "./report/render-matrix.ts";
import type { Result } from "./result.ts";
import type { Stage, StageOptions } from "./stage/stage.ts";

const REPORT = resolve(import.meta.dirname, "../../reports/e2e.xml");

process.exitCode = await main();

async function main(): Promise<number> {
  let flags: E2eFlags;
  try {
    flags = readFlags(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof SvcproxyError || (error instanceof Error && "code" in error))) throw error;
    const hint = "hint" in error && typeof error.hint === "string" ? `\n  hint: ${error.hint}` : "";
    process.stderr.write(`e2e: ${error.message}${hint}\n`);
    return 2;
  }
  if (flags.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const results = await playAll(flags);
  const isWritten = writeReport(renderJUnit(results));
  process.stdout.write(`\n${renderMatrix(results)}\n`);
  const count = (kind: Result["outcome"]["kind"]) => results.filter(({ outcome }) => outcome.kind === kind).length;
  process.stdout.write(`${count("ok")} passed, ${count("failed")} failed\n`);
  return isWritten && count("failed") === 0 && count("ok") > 0 ? 0 : 1;
}

function writeReport(text: string): boolean {
  try {
    mkdirSync(dirname(REPORT), { recursive: true });
    writeFileSync(REPORT, text);
    return true;
  } catch (error) {
    process.stderr.write(`e2e: cannot write the report: ${error instanceof Error ? error.message : error}\n`);
    return false;
  }
}

/** Plays the stages side by side: one more than the machine has processors, for each of them waits now and then. */
async function playAll({ dataPaths, overlays, scenarios, keep }: E2eFlags): Promise<readonly Result[]> {
  const stages: readonly StageOptions[] = dataPaths.flatMap((dataPath) =>
    overlays
      .filter((overlay) => dataPath.overlays?.includes(overlay) ?? true)
      .map((overlay) => ({ dataPath, overlay, keep })),
  );
  const results = new Map<StageOptions, Result[]>(stages.map((stage) => [stage, []]));
  const waiting = [...stages];
  const worker = async () => {
    for (let options = waiting.shift(); options !== undefined; options = waiting.shift()) {
      const found = results.get(options) ?? [];
      const report = (result: Result) => {
        found.push(result);
        say(result);
      };
      const stage = await playStage(options, { scenarios, report });
      if (keep && stage !== undefined) sayKept(stage);
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism() + 1, stages.length) }, worker));
  return [...results.values()].flat();
}

function say(result: Result): void {
  const { outcome, scenario, promise } = result;
  if (outcome.kind === "not applicable") return;
  const seconds = `${(outcome.ms / 1000).toFixed(1)} s`;
  process.stdout.write(`${outcome.kind === "ok" ? "ok    " : "FAILED"}  ${stageOf(result)}  ${scenario}  ${seconds}\n`);
  if (outcome.kind === "failed") {
    process.stdout.write(`\n${promise}.\n${outcome.reason}\n\n${outcome.evidence}\n`);
  }
}

function sayKept({ lab, dataPath }: Stage): void {
  saveLab({ ...lab.process, startedAt: new Date().toISOString(), dataPath: dataPath.name });
  const { name } = lab.process;
  process.stdout.write(
    `The lab stays: scripts/svcproxy lab exec --name ${name} cloudos1; end it by scripts/svcproxy lab down --name ${name}\n`,
  );
}
