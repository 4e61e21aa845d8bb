import { expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { parseTopology } from "../file/parse-topology.ts";
import { MAX_FAULTS } from "./fault-report.ts";

test.for([
  { name: "keys that stand twice", pair: "a: 1\n" },
  { name: "keys that stand twice, behind question marks", pair: "? a\n: b\n" },
  { name: "keys that are lists", pair: "? [a]\n: b\n" },
])("of very many $name the first are listed, and that there are more is said", ({ pair }) => {
  const text = pair.repeat(MAX_FAULTS + 10);
  const read = () => parseTopology(new TextEncoder().encode(text), { file: "keys.yaml" });
  expect(read).toThrow(InputError);
  try {
    read();
  } catch (error) {
    const faults = error instanceof InputError ? error.faults : [];
    expect(faults).toHaveLength(MAX_FAULTS + 1);
    expect(faults.filter(({ code }) => code === "TOO_MANY_FAULTS")).toHaveLength(1);
  }
});
