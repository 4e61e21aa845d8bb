import { existsSync, readFileSync } from "node:fs";

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  /** Full names with their reasons, as far as the report has them. */
  readonly skipped: readonly string[];
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** Reads vitest's JSON report. A missing report, or a file that failed before its first test, counts as one failure. */
export function readVitestReport(file: string): TestCounts {
  if (!existsSync(file)) return { passed: 0, failed: 1, skipped: [] };
  const report: VitestReport = JSON.parse(readFileSync(file, "utf8"));
  const results = report.testResults.flatMap((suite) => suite.assertionResults);
  const brokenFiles = report.testResults.filter(
    (suite) => suite.status === "failed" && suite.assertionResults.every((result) => result.status !== "failed"),
  );
  const isSkipped = (status: string) =>
    status === "skipped" || status === "pending" || status === "todo" || status === "disabled";
  return {
    passed: results.filter((result) => result.status === "passed").length,
    failed: results.filter((result) => result.status === "failed").length + brokenFiles.length,
    skipped: results.filter((result) => isSkipped(result.status)).map((result) => result.fullName),
  };
}

/** Reads a JUnit file by its `testcase` elements. A missing report counts as one failure. */
export function readJUnitReport(file: string): TestCounts {
  if (!existsSync(file)) return { passed: 0, failed: 1, skipped: [] };
  const xml = readFileSync(file, "utf8");
  let passed = 0;
  let failed = 0;
  const skipped: string[] = [];
  for (const [, attributes = "", selfClosed, body = ""] of xml.matchAll(
    /<testcase\b([^>]*?)(\/>|>([\s\S]*?)<\/testcase>)/g,
  )) {
    const content = selfClosed === "/>" ? "" : body;
    if (/<(failure|error)\b/.test(content)) failed++;
    else if (/<skipped\b/.test(content)) skipped.push(/\bname="([^"]*)"/.exec(attributes)?.[1] ?? "");
    else passed++;
  }
  return { passed, failed, skipped };
}
