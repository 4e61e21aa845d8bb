import { MemoryDataPath } from "@svcproxy/host/testing";
import { EnvironmentError } from "@svcproxy/topology";
import { pino } from "pino";
import { expect, test, vi } from "vitest";
import type { ChosenDataPath } from "./choose-data-path.ts";
import { watchForBetter } from "./watch-for-better.ts";

test("a better data path that appears is said once, as one that goes again is not", async () => {
  let isThere = false;
  const probe = async () => {
    if (!isThere) throw new EnvironmentError("MISSING_TOOL", "Cannot run nft");
  };
  const chosen: ChosenDataPath = {
    ...{ dataPath: new MemoryDataPath(), passedOver: [], others: [] },
    missed: [{ name: "nftables", probe }],
  };
  const lines: string[] = [];
  using _watch = watchForBetter(chosen, {
    ...{ logger: pino({ base: null }, { write: (line: string) => lines.push(line) }), everyMs: 5 },
  });
  isThere = true;
  await vi.waitFor(() => expect(chosen.better).toBe("nftables"));
  isThere = false;
  await vi.waitFor(() => expect(chosen.better).toBeUndefined());
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("data path nftables could be used by now; a restart of svcproxy run would take it");
});
