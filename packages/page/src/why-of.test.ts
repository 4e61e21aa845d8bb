import { EnvironmentError, type Fault, InputError, parseTopology } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { whyOf } from "./why-of.ts";

test("of a file with a fault its place is told, and how to mend it", () => {
  const read = () =>
    parseTopology(Buffer.from("services:\n  - name: web\n    clusterIP: nowhere\n"), { file: "web.yaml" });
  let why = "";
  try {
    read();
  } catch (error) {
    why = whyOf(error);
  }
  expect(why).toMatch(/web\.yaml:3:\d+: .*"nowhere" is not an address \(Write an IPv4/);
});

test("of many faults some are told, and how many there are", () => {
  const fault: Fault = { severity: "error", code: "PORT_OUT_OF_RANGE", message: "it is above 65535", hint: "lower it" };
  const faults = [fault, fault, fault, fault, fault] as const;
  const told = "it is above 65535 (lower it)";
  expect(whyOf(new InputError(faults))).toBe(`${told}; ${told}; ${told}; and 2 more`);
});

test.for([
  [new EnvironmentError("NOT_RUNNING", "none answers", { hint: "start it" }), "none answers (start it)"],
  [new Error("broken"), "broken"],
  ["text", "text"],
] as const)("%s is told as it is", ([error, why]) => {
  expect(whyOf(error)).toBe(why);
});
