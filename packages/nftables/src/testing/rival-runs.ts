import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { machineInside } from "@svcproxy/host/testing";
import { createNetworkNamespace } from "@svcproxy/lab";
import { compileTable } from "../compile-table.ts";
import { KernelTables } from "../nft/kernel-tables.ts";
import { meaningOf, sizeOfTable } from "./meaning-of.ts";
import { planAfter, randomPlans } from "./random-plans.ts";

const PROGRAM = fileURLToPath(new URL("apply-program.ts", import.meta.url));
const { signal } = new AbortController();

/**
 * Two programs that apply plans of their own at once, while a third writes to a table of its own. Each ends well, our tables are as one
 * of the two wants them, and nothing of the third's is lost.
 *
 * @throws Error with what was found instead
 */
export async function playRivals({ seed, rounds }: { readonly seed: number; readonly rounds: number }): Promise<void> {
  await using namespace = await createNetworkNamespace();
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-rivals-"));
  const tables = new KernelTables({ run: machineInside(namespace).run });
  const inside = `--net=/proc/${namespace.pid}/ns/net`;
  const apply = async (planSeed: number) => {
    const child = spawn("nsenter", [inside, process.execPath, PROGRAM, String(planSeed), "3", "3"], {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, RUNTIME_DIRECTORY: folder },
    });
    const [exitCode] = await once(child, "exit");
    if (exitCode !== 0) throw new Error(`seed ${planSeed}: exit code ${exitCode}`);
  };
  try {
    await namespace.run("nft", ["add table inet theirs; add set inet theirs s { type inet_service; }"]);
    let isOver = false;
    let written = 0;
    const write = async () => {
      while (!isOver) {
        written += 1;
        await namespace.run("nft", [`add element inet theirs s { ${written} }`]);
      }
    };
    const writing = write();
    for (let round = 0; round < rounds; round++) {
      const seeds = [seed + 2 * round, seed + 2 * round + 1];
      await Promise.all(seeds.map(apply));
      for (const family of [4, 6] as const) {
        const table = await tables.read(family, { signal });
        if (table === undefined) throw new Error(`round ${round}: no table`);
        const isOne = seeds.some((planSeed) => {
          const { table: fresh } = compileTable(planAfter(randomPlans(planSeed), 3), { family });
          return String(meaningOf(table)) === String(meaningOf(fresh)) && sizeOfTable(table) === sizeOfTable(fresh);
        });
        if (!isOne) throw new Error(`round ${round}, seeds ${seeds}: IPv${family} is as neither wants it`);
      }
    }
    isOver = true;
    await writing;
    const { stdout } = await namespace.run("nft", ["-j", "list", "set", "inet", "theirs", "s"]);
    const kept = (JSON.parse(stdout).nftables[1].set.elem ?? []).length;
    if (kept !== written) throw new Error(`of ${written} elements of another table ${kept} are there`);
  } finally {
    await rm(folder, { recursive: true });
  }
}
