import { contractPlan } from "@svcproxy/host/testing";
import { whyNoKernelTests } from "@svcproxy/lab";
import type { Family } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { TableKeeper } from "../change/table-keeper.ts";
import { wantedTable } from "../compile/wanted-table.ts";
import { tableName } from "../table/format-table.ts";
import { createKernelHost } from "../testing/kernel-host.ts";

const reason = whyNoKernelTests(["ip", "nft", "nsenter"]);

/** What another program does to a table after we wrote, and whether it concerns what was written. */
const MEDDLINGS: readonly { readonly name: string; readonly commands: string; readonly isSeen: boolean }[] = [
  { name: "nothing", commands: "", isSeen: true },
  {
    name: "an element that was added is gone",
    commands: "delete element TABLE hairpins { HAIRPIN }",
    isSeen: false,
  },
  {
    name: "an element that was changed leads elsewhere",
    commands: "delete element TABLE groups { 1:0 }; add element TABLE groups { 1:0 : goto mark-masquerade }",
    isSeen: false,
  },
  {
    name: "an element that was removed is back",
    commands: "add element TABLE hairpins { REMOVED }",
    isSeen: false,
  },
  { name: "a rule was added", commands: "insert rule TABLE services counter accept", isSeen: false },
  { name: "a chain was emptied", commands: "flush chain TABLE mark-masquerade", isSeen: false },
  { name: "a chain was added", commands: "add chain TABLE theirs", isSeen: false },
  { name: "a set was added", commands: "add set TABLE theirs { type mark; }", isSeen: false },
  { name: "the table is gone", commands: "delete table TABLE", isSeen: false },
  {
    name: "another table has come, with a chain of the same name",
    commands: "add table FAMILY theirs; add chain FAMILY theirs services; add rule FAMILY theirs services accept",
    isSeen: true,
  },
];

describe.skipIf(reason !== undefined)(`what was written${reason === undefined ? "" : ` (${reason})`}`, () => {
  for (const family of [4, 6] as const) {
    test.for(MEDDLINGS)(`IPv${family}: $name`, { timeout: 300_000 }, async ({ commands, isSeen }) => {
      await using host = await createKernelHost();
      const { keeper, planned } = await writeChange(host, family);
      const text = commands
        .replaceAll("TABLE", tableName(family))
        .replaceAll("FAMILY", family === 4 ? "ip" : "ip6")
        .replaceAll("HAIRPIN", ADDED[family])
        .replaceAll("REMOVED", REMOVED[family]);
      if (text !== "") await host.namespace.run("nft", [text]);
      expect(await host.tables.isAsWritten(keeper.written(planned))).toBe(isSeen);
    });
  }
});

const ADDED = { 4: "10.9.9.9 . 10.9.9.9", 6: "fd09::9 . fd09::9" } as const;
const REMOVED = { 4: "10.9.9.8 . 10.9.9.8", 6: "fd09::8 . fd09::8" } as const;

/** A table, and a change of it that adds, changes and removes elements. */
async function writeChange({ tables }: Awaited<ReturnType<typeof createKernelHost>>, family: Family) {
  const keeper = new TableKeeper(family);
  const wanted = wantedTable(contractPlan(), { family });
  const commit = async (change: ReturnType<TableKeeper["planAll"]>) => {
    await tables.commit([{ kind: "transaction", transaction: change.transaction }]);
    keeper.commit(change);
    expect(await tables.isAsWritten(keeper.written(change))).toBe(true);
  };
  const withHairpin = (key: string) => ({
    ...wanted,
    nodeElements: [...wanted.nodeElements, { collection: "hairpins", key, data: "", comment: "" }],
  });
  await commit(keeper.planAll(withHairpin(REMOVED[family])));
  const planned = keeper.planAll(withHairpin(ADDED[family]));
  await commit(planned);
  await commit(keeper.planLeftover());
  const removed = new Map([["hairpins", new Set([REMOVED[family]])]]);
  // A group is written anew, as where the number of its endpoints changes.
  const groups = new Map([["1:0", { data: groupChain(wanted), comment: "" }]]);
  const { transaction } = planned;
  const addedElements = new Map([...transaction.addedElements, ["groups", groups]]);
  return { keeper, planned: { ...planned, transaction: { ...transaction, addedElements, removedElements: removed } } };
}

function groupChain({ ports: [port] }: ReturnType<typeof wantedTable>): string {
  return `goto pick-${port?.cluster?.protocol}-${port?.cluster?.endpoints.length}`;
}
