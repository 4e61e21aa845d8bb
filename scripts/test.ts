import { mkdirSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { commitSeed } from "./commit-seed.ts";
import { installDebianPackages } from "./debian-packages.ts";
import { runGates } from "./gates.ts";
import { ROOT, runStep } from "./run-step.ts";
import { readJUnitReport, readVitestReport } from "./test-counts.ts";

// `pnpm test`: set-up, format, lint, types, arrows, unit and kernel tests, e2e. Its last line counts what the runners reported.
const unitReport = resolve(ROOT, "reports/unit.json");
const e2eReport = resolve(ROOT, "reports/e2e.xml");
mkdirSync(resolve(ROOT, "reports"), { recursive: true });
for (const report of [unitReport, e2eReport]) rmSync(report, { force: true });

await installDebianPackages();
const failedGates = await runGates();
const seed = commitSeed();
const unitPassed = await runStep(
  "vitest",
  ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${unitReport}`],
  seed === undefined ? {} : { SVCPROXY_SEED: seed },
);
const e2ePassed = await runStep("pnpm", ["--filter", "@svcproxy/e2e", "e2e"]);

const reports = [readVitestReport(unitReport), readJUnitReport(e2eReport)];
const skipped = reports.flatMap((report) => report.skipped);
const passed = reports.reduce((sum, report) => sum + report.passed, 0);
let failed = reports.reduce((sum, report) => sum + report.failed, failedGates.length);
if (failed === 0 && !(unitPassed && e2ePassed)) failed = 1; // a runner died after its last report

process.stdout.write("\n");
for (const gate of failedGates) process.stdout.write(`failed: ${gate}\n`);
for (const name of skipped) process.stdout.write(`skipped: ${name}\n`);
const skippedInCi = process.env["CI"] === "true" && skipped.length > 0;
if (skippedInCi) process.stdout.write("In CI nothing may be skipped.\n");
process.stdout.write(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ""}\n`);
process.exitCode = failed > 0 || skippedInCi ? 1 : 0;
