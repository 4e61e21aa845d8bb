import { type Family, familyOf, type HostPlan, parseIpAddress, type ServicePortPlan } from "@svcproxy/topology";
import { compileTable } from "../compile-table.ts";
import { kernelMachine } from "../data-path/kernel-machine.ts";
import { NftablesDataPath } from "../data-path/nftables-data-path.ts";
import { KernelTables } from "../nft/kernel-tables.ts";
import { meaningOf } from "./meaning-of.ts";
import { brokenPromise, isCarried, promisedOutcome } from "./promised-outcome.ts";
import { RandomCluster, randomSource } from "./random-cluster.ts";
import { CLIENTS, createServiceWorld, type ServiceWorld } from "./service-world.ts";

export interface RandomWalkOptions {
  readonly seed: number;
  readonly steps: number;
  /** Connections that are tried after each step. */
  readonly samples: number;
  readonly onStep?: (step: number) => void;
}

/** Nobody who is to be answered waits so long; who is to be met with silence need not wait longer. */
const PATIENCE_SECONDS = { answer: 10, silence: 0.7 };

/**
 * Plans that change at random, each applied as a difference by one session. After each step the kernel's table means what a fresh one
 * would, and sampled connections from every side meet what the plan says.
 *
 * @throws Error with the step and what was not so
 */
export async function playRandomWalk({ seed, steps, samples, onStep }: RandomWalkOptions): Promise<void> {
  const random = randomSource(seed);
  const cluster = new RandomCluster(random, { services: 10 });
  await using world = await createServiceWorld();
  const { signal } = new AbortController();
  const dataPath = new NftablesDataPath({ machine: kernelMachine(world.machine) });
  const tables = new KernelTables({ run: world.machine.run });
  let session = await dataPath.open(signal);
  try {
    await session.apply(cluster.plan());
    for (let step = 0; step < steps; step++) {
      const changed = cluster.step();
      const plan = cluster.plan();
      if (random() < 0.05) {
        await session[Symbol.asyncDispose]();
        session = await dataPath.open(signal);
      }
      const { problems } = await session.apply(plan, changed === undefined ? {} : { changed });
      const errors = problems.filter(({ severity }) => severity === "error");
      const faults = errors.map(({ text }) => text);
      for (const family of [4, 6] as const) faults.push(...(await meaningFaults(plan, family, tables)));
      const tried = Array.from({ length: samples }, () => sample(plan, random)).filter((each) => each !== undefined);
      faults.push(...(await Promise.all(tried.map((each) => trySample(each, plan, world)))).flat());
      if (faults.length > 0) throw new Error(`seed ${seed}, step ${step}:\n${faults.join("\n")}`);
      onStep?.(step);
    }
  } finally {
    await session[Symbol.asyncDispose]();
  }
}

/** What of a fresh table the kernel's does not do. */
async function meaningFaults(plan: HostPlan, family: Family, tables: KernelTables): Promise<readonly string[]> {
  const { signal } = new AbortController();
  const table = await tables.read(family, { signal });
  if (!plan.ports.some((port) => port.family === family)) return table === undefined ? [] : ["a table is left"];
  if (table === undefined) return [`no table for IPv${family}`];
  const fresh = compileTable(plan, { family }).table;
  const [has, wants] = [meaningOf(table), meaningOf(fresh)];
  const [hasSet, wantsSet] = [new Set(has), new Set(wants)];
  // What decides about no packet any more is left over until the next change. Affinity maps hold what packets put there.
  const names = new Set(fresh.collections.map(({ name }) => name));
  const isLeftOver = (line: string) =>
    /^(chain (recall|forget|learn|rewrite)|affinity-\d+ \S+ \. |hairpins \S+ \. )/.test(line) ||
    (!line.startsWith("chain ") && !names.has(line.split(" ")[0] ?? ""));
  return [
    ...wants.filter((line) => !hasSet.has(line)).map((line) => `missing: ${line}`),
    ...has.filter((line) => !wantsSet.has(line) && !isLeftOver(line)).map((line) => `surplus: ${line}`),
  ];
}

interface Sample {
  readonly client: (typeof CLIENTS)[number];
  readonly port: ServicePortPlan;
  readonly frontend: ServicePortPlan["frontends"][number];
}

function sample(plan: HostPlan, random: () => number): Sample | undefined {
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)];
  const port = pick(plan.ports);
  const frontend = pick(port?.frontends ?? []);
  const client = pick(CLIENTS);
  return port === undefined || frontend === undefined || client === undefined ? undefined : { client, port, frontend };
}

async function trySample(
  { client, port, frontend }: Sample,
  plan: HostPlan,
  world: ServiceWorld,
): Promise<readonly string[]> {
  const { family } = port;
  const { protocol } = port.port;
  const to =
    frontend.kind === "nodePort" ? parseIpAddress(family === 4 ? "192.168.1.6" : "fd01::6") : frontend.addresses[0];
  if (to === undefined) throw new TypeError("a frontend without an address");
  const promised = promisedOutcome(plan, client, { frontend, to });
  if (!isCarried(promised, client)) return [];
  const seconds = PATIENCE_SECONDS[promised.kind === "silent" ? "silence" : "answer"];
  const answer = await world.dial(client, to, { protocol, port: frontend.port, seconds });
  const broken = brokenPromise(promised, answer, familyOf(to) === 4 ? client.ipv4 : client.ipv6);
  if (broken === undefined) return [];
  return [`${client.name} to ${frontend.kind} ${to} ${protocol} ${frontend.port} of ${port.service.name}: ${broken}`];
}
