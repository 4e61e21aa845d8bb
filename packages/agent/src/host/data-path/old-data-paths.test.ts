import { MemoryDataPath } from "@svcproxy/host/testing";
import { EnvironmentError } from "@svcproxy/topology";
import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { OldDataPaths } from "./old-data-paths.ts";

test("what cannot be removed is named, and tried again until it is gone", async () => {
  const ending = new AbortController();
  onTestFinished(() => ending.abort());
  const other = new MemoryDataPath();
  let tries = 0;
  const cleanup = async () => {
    tries += 1;
    if (tries === 1) throw new EnvironmentError("XTABLES_LOCKED", "Another program holds the lock");
    return { removed: ["a chain"], problems: [] };
  };
  const lines: string[] = [];
  const logger = pino({ base: null }, { write: (line: string) => lines.push(line) });
  const old = new OldDataPaths({
    besideKubeProxy: false,
    ...{ others: [Object.assign(other, { cleanup })], now: "nftables", logger, signal: ending.signal },
  });
  old.retire();
  old.retire();
  await vi.waitFor(() => expect(old.problems).toMatchObject([{ code: "XTABLES_LOCKED" }]));
  await vi.waitFor(() => expect(lines.join("")).toContain("nftables serves now; removed ours from"));
  expect([tries, old.problems]).toEqual([2, []]);
});
