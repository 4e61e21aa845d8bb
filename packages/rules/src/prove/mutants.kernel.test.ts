import process from "node:process";
import { whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KernelWorld } from "../testing/differential/kernel-world.ts";
import { createMutantWorld, judgeMutants } from "../testing/mutants/judge-mutants.ts";
import { mutantSubjects } from "../testing/mutants/mutant-subject.ts";

const reason = whyNoKernelTests([
  ...["ip", "bridge", "unshare", "nsenter", "taskset", "nft", "tcpdump", "perl", "ipset", "conntrack"],
  "iptables-legacy-restore",
]);

/** Of each subject; `pnpm --filter @svcproxy/rules soak:mutants` judges hundreds. */
const mutants = Number(process.env["SVCPROXY_MUTANTS"] ?? 8);

/** Another one each run; SVCPROXY_SEED=N repeats one, and the test command has one of its own. */
const seed = Number(process.env["SVCPROXY_SEED"] ?? Date.now() % 1_000_000_000);

describe.skipIf(reason !== undefined)(`mutants${reason === undefined ? "" : ` (${reason})`}`, () => {
  let world: KernelWorld;
  beforeAll(async () => {
    world = await createMutantWorld();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  test.for(mutantSubjects())(
    "of $name are found broken exactly where the kernel treats a packet otherwise",
    { timeout: 300_000 + mutants * 40_000 },
    async (subject) => {
      expect(await subject.original.load(world)).toBe(true);
      const { claims } = await subject.original.prove(world);
      expect(claims.filter(({ status }) => status !== "held")).toEqual([]);
      const { counts, missed, criedWolf } = await judgeMutants(world, subject, { seed, mutants });
      console.info(`${subject.name}, SVCPROXY_SEED=${seed}: ${JSON.stringify(counts)}`);
      expect(missed.join("\n"), `SVCPROXY_SEED=${seed}`).toBe("");
      expect(criedWolf.join("\n"), `SVCPROXY_SEED=${seed}`).toBe("");
      expect(counts.broken).toBeGreaterThan(0);
    },
  );
});
