import type { Problem } from "@svcproxy/topology";
import { pino } from "pino";
import { expect, test } from "vitest";
import { namedProblems, ProblemLog } from "./problem-log.ts";

function problem(subject: string): Problem {
  return { code: "VIP_NOT_LOCAL", severity: "warning", subject, text: `${subject} is not here`, hint: "Put it there" };
}

function newLog(told: readonly Problem[] = []) {
  const said: unknown[] = [];
  const log = new ProblemLog(pino({ base: null }, { write: (line: string) => said.push(JSON.parse(line)) }), { told });
  return { log, said };
}

test("a problem is told once, and again when it was gone in between", () => {
  const { log, said } = newLog();
  log.tell([problem("a")]);
  log.tell([problem("a"), problem("b")]);
  log.tell([]);
  log.tell([problem("a")]);
  expect(said).toMatchObject([
    { subject: "a", code: "VIP_NOT_LOCAL", msg: "a is not here: Put it there" },
    { subject: "b" },
    { subject: "a" },
  ]);
});

test("what the log has already is told again only when it was gone in between", () => {
  const { log, said } = newLog([problem("a")]);
  log.tell([problem("a")]);
  expect(said).toEqual([]);
  log.tell([]);
  log.tell([problem("a")]);
  expect(said).toHaveLength(1);
});

test("of very many the first are named, and the rest counted", () => {
  const { log, said } = newLog();
  log.tell(Array.from({ length: 5_000 }, (_, index) => problem(String(index))));
  expect(said).toHaveLength(21);
  expect(said.at(-1)).toMatchObject({ problems: 4_980, msg: "4980 more problems; the status lists them" });
});

test("why a source cannot be taken is bounded, too", () => {
  const problems = Array.from({ length: 400 }, (_, index) => problem(`${index}.yaml`));
  expect(namedProblems(problems).split("\n").at(-1)).toBe("and 380 more problems; the status lists them");
  expect(namedProblems(problems.slice(0, 20))).not.toContain("more");
});
