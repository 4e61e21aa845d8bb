import process from "node:process";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { playRandomWalk } from "./testing/random-walk.ts";

const reason = whyNoKernelTests(["ip", "nft", "conntrack", "nsenter", "python3"]);

/** `pnpm soak:nftables` walks 500 steps and more. */
const STEPS = Number(process.env["STEPS"] ?? 15);
const SEED = Number(process.env["SEED"] ?? 7);

describe.skipIf(reason !== undefined)(`a random walk${reason === undefined ? "" : ` (${reason})`}`, () => {
  test(`of ${STEPS} changes, each as a difference, does what each plan says (SEED=${SEED})`, {
    timeout: 120_000,
  }, async () => {
    await playRandomWalk({ seed: SEED, steps: STEPS, samples: 8 });
  });
});
