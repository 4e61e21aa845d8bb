import type { ToolRunner } from "@svcproxy/host";
import { expect, test } from "vitest";
import { KernelTables } from "./kernel-tables.ts";

const WRITTEN = {
  family: 4,
  collections: [],
  chains: [],
  added: new Map([["pods", new Map([["10.5.0.0/24", { data: "", comment: "" }]])]]),
  removed: new Map<string, ReadonlySet<string>>(),
} as const;

test.for([
  { name: "is there", element: "", isThere: true },
  { name: "is gone", element: "Error: Could not process rule: No such file or directory", isThere: false },
])(
  "where another program's rules cannot be listed, an element that $name is found all the same",
  async ({ element, isThere }) => {
    const run: ToolRunner = async (_nft, _args, { input = "" } = {}) => {
      const stderr = input.includes("list ruleset") ? "Error: unknown expression" : element;
      return { exitCode: stderr === "" ? 0 : 1, stdout: "", stderr };
    };
    expect(await new KernelTables({ run }).isAsWritten(WRITTEN)).toBe(isThere);
  },
);
