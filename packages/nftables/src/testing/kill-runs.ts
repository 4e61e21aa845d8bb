import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { machineInside } from "@svcproxy/host/testing";
import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import type { Family } from "@svcproxy/topology";
import { compileTable } from "../compile-table.ts";
import { KernelTables } from "../nft/kernel-tables.ts";
import { meaningOf, sizeOfTable } from "./meaning-of.ts";
import { randomSource } from "./random-cluster.ts";
import { planAfter, randomPlans } from "./random-plans.ts";

const PROGRAM = fileURLToPath(new URL("apply-program.ts", import.meta.url));
const { signal } = new AbortController();

export interface KillOptions {
  readonly seed: number;
  readonly kills: number;
  readonly onKill?: (kill: number) => void;
}

/**
 * Kills a program that applies plan after plan, at random moments. After each kill every service has its promise of the last plan or
 * of the one before, and the next run makes all of it what it is to be.
 *
 * @throws Error with what was found instead
 */
export async function playKills({ seed, kills, onKill }: KillOptions): Promise<void> {
  const random = randomSource(seed);
  await using namespace = await createNetworkNamespace();
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-kills-"));
  const tables = new KernelTables({ run: machineInside(namespace).run });
  const start = (from: number, to: number) => startProgram({ namespace, folder, seed, from, to });
  try {
    let step = 0;
    let isEmpty = true;
    for (let kill = 0; kill < kills; kill++) {
      const program = start(step, step + 1_000_000);
      await program.begun(step);
      await delay(random() * 150);
      program.kill({ withTools: random() < 0.5 });
      step = await program.lastStep();
      if (isEmpty) isEmpty = (await tables.read(4, { signal })) === undefined;
      if (!isEmpty) for (const family of [4, 6] as const) await checkHalf(tables, { family, seed, step });
      onKill?.(kill);
    }
    const last = start(step, step);
    await last.begun(step);
    await last.ended;
    const plan = planAfter(randomPlans(seed), step);
    for (const family of [4, 6] as const) {
      const table = await tables.read(family, { signal });
      const { table: fresh } = compileTable(plan, { family });
      if (
        table === undefined ||
        String(meaningOf(table)) !== String(meaningOf(fresh)) ||
        sizeOfTable(table) !== sizeOfTable(fresh)
      ) {
        throw new Error(`after ${kills} kills (seed ${seed}) IPv${family} is not as planned`);
      }
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Every frontend is as one of two plans has it, and all of them as the same. */
async function checkHalf(
  tables: KernelTables,
  { family, seed, step }: { family: Family; seed: number; step: number },
): Promise<void> {
  const table = await tables.read(family, { signal });
  const has = table === undefined ? "" : String(meaningOf(table).filter(isFrontend));
  // The preparation of a step may be followed by one more before its line is read.
  const known = [step - 1, step, step + 1]
    .filter((each) => each >= 0)
    .map((each) =>
      String(meaningOf(compileTable(planAfter(randomPlans(seed), each), { family }).table).filter(isFrontend)),
    );
  if (known.includes(has)) return;
  throw new Error(
    `killed in step ${step} (seed ${seed}): IPv${family} has neither plan:\n${has.replaceAll(",services", "\nservices")}`,
  );
}

function isFrontend(line: string): boolean {
  return /^(services|nodeports) /.test(line);
}

interface Program {
  /** Resolves once it has said that it begins a step. */
  begun(step: number): Promise<void>;
  /** @param options.withTools whether what it runs at the moment goes with it */
  kill(options: { readonly withTools: boolean }): void;
  /** Once it is over: the last step that it began. */
  lastStep(): Promise<number>;
  readonly ended: Promise<unknown>;
}

function startProgram(input: {
  namespace: NetworkNamespace;
  folder: string;
  seed: number;
  from: number;
  to: number;
}): Program {
  const { namespace, folder, seed, from, to } = input;
  const args = [`--net=/proc/${namespace.pid}/ns/net`, process.execPath, PROGRAM, ...[seed, from, to].map(String)];
  const child = spawn("nsenter", args, {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
    env: { ...process.env, RUNTIME_DIRECTORY: folder },
  });
  const ended = once(child, "close");
  const first = Promise.withResolvers<void>();
  let last = from;
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    const [word, step] = line.split(" ");
    if (word === "begin") last = Number(step);
    first.resolve();
  });
  return {
    begun: () => Promise.race([first.promise, ended.then(() => Promise.reject(new Error("the program ended")))]),
    kill({ withTools }) {
      if (withTools && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      else child.kill("SIGKILL");
    },
    async lastStep() {
      await ended;
      return last;
    },
    ended,
  };
}
