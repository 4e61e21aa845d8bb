import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { type Fault, NO_OUTCOMES, type TestOutcomes } from "./test-outcomes.ts";

/** What `vitest-reporter.ts` wrote. A report that is not there counts as one failure. */
export function readUnitOutcomes(file: string): TestOutcomes {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : missing(file);
}

/** Reads a JUnit file by its `testcase` elements. One that is not there counts as one failure. */
export function readJUnitOutcomes(file: string): TestOutcomes {
  if (!existsSync(file)) return missing(file);
  let passed = 0;
  const failed: Fault[] = [];
  const skipped: string[] = [];
  for (const [, attributes = "", selfClosed, body = ""] of readFileSync(file, "utf8").matchAll(
    /<testcase\b([^>]*?)(\/>|>([\s\S]*?)<\/testcase>)/g,
  )) {
    const content = selfClosed === "/>" ? "" : body;
    const name = `${attributeOf(attributes, "classname")} ${attributeOf(attributes, "name")}`.trim();
    const failure = /<(?:failure|error)\b([^>]*?)(?:\/>|>([\s\S]*?)<\/(?:failure|error)>)/.exec(content);
    if (failure !== null) {
      const [, failureAttributes = "", text = ""] = failure;
      failed.push({ name, message: unescapeXml(text) || attributeOf(failureAttributes, "message") });
    } else if (/<skipped\b/.test(content)) skipped.push(name);
    else passed++;
  }
  return { passed, failed, secondTry: [], skipped };
}

function missing(file: string): TestOutcomes {
  return { ...NO_OUTCOMES, failed: [{ name: basename(file), message: "the runner ended without this report" }] };
}

function attributeOf(attributes: string, name: string): string {
  return unescapeXml(new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
}

const CHARACTERS: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescapeXml(text: string): string {
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (entity, name) => CHARACTERS[name] ?? entity);
}
