import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { changeUnderLoad } from "./testing/changes-under-load.ts";
import { playKills } from "./testing/kill-runs.ts";
import { playRandomWalk } from "./testing/random-walk.ts";
import { playRivals } from "./testing/rival-runs.ts";

const reason = whyNoKernelTests(["ip", "nft", "conntrack", "nsenter", "python3"]);

/** `pnpm soak:nftables` plays the same for an hour. */
describe.skipIf(reason !== undefined)(
  `long runs, cut short${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test("changes at random, each as a difference, do what each plan says", async () => {
      await playRandomWalk({ seed: 7, steps: 15, samples: 8 });
    });

    test.for([
      { family: 4, isSticky: false },
      { family: 4, isSticky: true },
      { family: 6, isSticky: false },
      { family: 6, isSticky: true },
    ] as const)(
      "endpoints change under connections to IPv$family, affinity: $isSticky: none is refused, reset or lost",
      async ({ family, isSticky }, { expect }) => {
        const report = await changeUnderLoad({ seed: 11, changes: 50, rate: 100, isSticky, family });
        expect(report).toMatchObject({ refused: 0, reset: 0, failed: 0, lost: 0, errors: [] });
      },
    );

    test("killed at random moments: the old promise or the new one, and the next run mends it", async () => {
      await playKills({ seed: 5, kills: 5 });
    });

    test("of two that apply at once one has it as it wants, and a third's table is its own", async () => {
      await playRivals({ seed: 50, rounds: 1 });
    });
  },
);
