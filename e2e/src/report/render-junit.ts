import type { Result } from "../result.ts";
import { stageOf } from "./render-matrix.ts";

/**
 * JUnit XML: a suite for each stage, a case for each scenario that was played. One that is not applicable is no skipped
 * test (nothing is missing), so it is a property of its suite.
 */
export function renderJUnit(results: readonly Result[]): string {
  const stages = [...new Set(results.map(stageOf))];
  const suites = stages.map((stage) =>
    renderSuite(
      stage,
      results.filter((result) => stageOf(result) === stage),
    ),
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="e2e">\n${suites.join("")}</testsuites>\n`;
}

function renderSuite(stage: string, results: readonly Result[]): string {
  const properties: string[] = [];
  const cases: string[] = [];
  let failures = 0;
  let seconds = 0;
  for (const { scenario, outcome } of results) {
    if (outcome.kind === "not applicable") {
      properties.push(`<property name="not applicable: ${escapeXml(scenario)}" value="${escapeXml(outcome.reason)}"/>`);
      continue;
    }
    seconds += outcome.ms / 1000;
    const attributes = `classname="${escapeXml(stage)}" name="${escapeXml(scenario)}" time="${(outcome.ms / 1000).toFixed(3)}"`;
    if (outcome.kind === "ok") cases.push(`    <testcase ${attributes}/>\n`);
    else {
      failures++;
      const [message = ""] = outcome.reason.split("\n");
      const body = escapeXml(`${outcome.reason}\n\n${outcome.evidence}`);
      cases.push(`    <testcase ${attributes}><failure message="${escapeXml(message)}">${body}</failure></testcase>\n`);
    }
  }
  const attributes = `name="${escapeXml(stage)}" tests="${cases.length}" failures="${failures}" time="${seconds.toFixed(3)}"`;
  const block = properties.length === 0 ? "" : `    <properties>${properties.join("")}</properties>\n`;
  return `  <testsuite ${attributes}>\n${block}${cases.join("")}  </testsuite>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text for XML; characters that XML cannot hold at all become U+FFFD. */
function escapeXml(text: string): string {
  return text
    .replace(/[&<>"]/g, (character) => ENTITIES[character] ?? character)
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd");
}
