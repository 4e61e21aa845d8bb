import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { Reporter, SerializedError, TestCase, TestModule, Vitest } from "vitest/node";
import type { Fault, TestOutcomes } from "./test-outcomes.ts";

/** Where the report goes, below the root of the run. */
export const UNIT_REPORT = "reports/unit.json";

/**
 * A reporter for vitest that writes `TestOutcomes` as JSON. Unlike vitest's own JSON it has what failed outside of a test: a
 * file that cannot be loaded, a `beforeAll`, a rejection that nobody waited for, a worker that died.
 */
export default class OutcomesReporter implements Reporter {
  #root = "";

  onInit(vitest: Vitest): void {
    this.#root = vitest.config.root;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const file = resolve(this.#root, UNIT_REPORT);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify(this.#outcomesOf(modules, unhandled)));
  }

  #outcomesOf(modules: readonly TestModule[], unhandled: readonly SerializedError[]): TestOutcomes {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const inState = (...states: readonly string[]) => tests.filter((test) => states.includes(test.result().state));
    return {
      passed: inState("passed").length,
      failed: [
        ...modules.flatMap((module) => this.#faultsOutsideTests(module)),
        ...inState("failed").map((test) => this.#fault(nameOf(test), test.result().errors?.[0])),
        ...inState("pending").map((test) => ({ name: nameOf(test), message: "it did not end" })),
        ...unhandled.map((error) => this.#fault("outside of any test", error)),
      ],
      secondTry: inState("passed")
        .filter((test) => test.diagnostic()?.flaky === true)
        .map((test) => this.#fault(nameOf(test), test.result().errors?.[0])),
      skipped: inState("skipped").map((test) => {
        const result = test.result();
        const reason = result.state === "skipped" ? result.note : undefined;
        return reason === undefined ? nameOf(test) : `${nameOf(test)}: ${reason}`;
      }),
    };
  }

  /** What failed to load, and the hooks around groups of tests. */
  #faultsOutsideTests(module: TestModule): readonly Fault[] {
    const suites = [...module.children.allSuites()];
    return [
      ...module.errors().map((error) => this.#fault(fileOf(module), error)),
      ...suites.flatMap((suite) =>
        suite.errors().map((error) => this.#fault(`${fileOf(module)} > ${suite.fullName}`, error)),
      ),
    ];
  }

  #fault(name: string, error: SerializedError | undefined): Fault {
    const message = stripVTControlCharacters(error?.message ?? "no message");
    const place = error?.stacks?.[0];
    const where = place === undefined ? "" : `at ${relative(this.#root, place.file)}:${place.line}:${place.column}\n`;
    const diff = typeof error?.["diff"] === "string" ? `\n${stripVTControlCharacters(error["diff"])}` : "";
    return { name, message: `${where}${message}${diff}` };
  }
}

function fileOf({ project, relativeModuleId }: TestModule): string {
  return `${project.name} ${relativeModuleId}`.trim();
}

function nameOf(test: TestCase): string {
  return `${fileOf(test.module)} > ${test.fullName}`;
}
