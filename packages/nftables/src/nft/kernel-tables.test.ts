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

test.for([
  { name: "goes", refused: "", last: "delete table ip svcproxy\n" },
  { name: "cannot be removed is woken again, and", refused: "delete table", last: "add table ip svcproxy\n" },
])("a table that $name is asked by no packet before its maps go", async ({ refused, last }) => {
  const inputs: string[] = [];
  const run: ToolRunner = async (_nft, _args, { input = "" } = {}) => {
    inputs.push(input);
    const isRefused = refused !== "" && input.startsWith(refused);
    return { exitCode: isRefused ? 1 : 0, stdout: "", stderr: isRefused ? "Error: Device or resource busy" : "" };
  };
  const committed = new KernelTables({ run }).commit([{ kind: "removal", family: 4 }]);
  if (refused === "") await committed;
  else await expect(committed).rejects.toMatchObject({ code: "NFT_REFUSED" });
  expect(inputs.slice(0, 2)).toEqual(["add table ip svcproxy { flags dormant; }\n", "delete table ip svcproxy\n"]);
  expect(inputs.at(-1)).toBe(last);
});
