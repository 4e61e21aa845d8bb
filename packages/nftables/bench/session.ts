/**
 * What comes after the load of a large table: a look at all, single changes, and both beside a large set of somebody else's. Run by
 * tables.ts in a network namespace of its own, so that nothing stands between a session and its nft: `session.ts SERVICES ENDPOINTS LOAD_MS`
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { type Machine, type ToolRunner, thisMachine } from "@svcproxy/host";
import { LARGE_HOST, median } from "@svcproxy/host/testing";
import { parseTopology, planHost, type Topology } from "@svcproxy/topology";
import { kernelMachine } from "../src/data-path/kernel-machine.ts";
import { NftablesDataPath } from "../src/index.ts";
import { largeTopologyText } from "./large-plan.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const CHANGES = Number(process.env["CHANGES"] ?? 100);
const FOREIGN_ELEMENTS = 50_000;
/** Most for one change: CPU time of the nft that switches, and how long that takes. */
const MAX_SWITCH_CPU_MS = 5;
const MAX_SWITCH_MS = 20;
/** Of an apply's time, for finding what of others is in its way. */
const MAX_SEARCH = 0.1;
const DOCKER_RULES = [
  "-t nat -N DOCKER",
  "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
  "-t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
  "-P FORWARD DROP",
  "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
  "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
];
/** Of a look at all, to the load. */
const MAX_LOOK = 4;
/** For 10,000 services with 3 endpoints each. */
const MAX_KERNEL_MIB = 15;

const [services = 0, endpoints = 0, loadMs = 0] = process.argv.slice(2).map(Number);
const title = `${services} × ${endpoints}`;
const { signal } = new AbortController();
const [topology, other] = [topologyOf(0), topologyOf(1)];
const before = planHost(topology, { host: LARGE_HOST });
// As a source gives them one after the other: what did not change is shared.
const changedServices = [...topology.services.slice(0, -1), ...other.services.slice(-1)];
const after = planHost({ ...topology, services: changedServices }, { host: LARGE_HOST });
const memoryBefore = kernelMemoryMiB();

interface Write {
  readonly cpuMs: number;
  readonly wallMs: number;
}
const writes: Write[] = [];
const checks: Write[] = [];
const machine: Machine = {
  ...thisMachine,
  startTools(options) {
    const tools = thisMachine.startTools(options);
    const run: ToolRunner = async (tool, args, rest) => {
      const [cpu, start] = [childrenCpuMs(), performance.now()];
      const output = await tools.run(tool, args, rest);
      const took = { cpuMs: childrenCpuMs() - cpu, wallMs: performance.now() - start };
      if (tool === "nft" && args[0] === "-f") writes.push(took);
      if (tool === "nft" && args[0] === "-c") checks.push(took);
      return output;
    };
    return { run, [Symbol.asyncDispose]: () => tools[Symbol.asyncDispose]() };
  },
};

const dataPath = new NftablesDataPath({ machine: kernelMachine(machine) });
await using session = await dataPath.open(signal);
const applyStart = cpuMs();
await session.apply(before);
const applyMs = cpuMs() - applyStart;
await delay(1000);
const kernelMiB = kernelMemoryMiB() - memoryBefore;
const limit = services > 10_000 ? "" : ` ${verdict(kernelMiB <= MAX_KERNEL_MIB, MAX_KERNEL_MIB)}`;
console.log(
  `${title}: kernel memory ${kernelMiB.toFixed(1)} MiB${limit}, what others of this machine did meanwhile included`,
);
const looks: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const start = cpuMs();
  await dataPath.compare(before, { signal });
  looks.push(cpuMs() - start);
}
const look = Math.min(...looks) / loadMs;
console.log(
  `${title}: reading all back and comparing, over its load: ${look.toFixed(2)} ${verdict(look <= MAX_LOOK, MAX_LOOK)}`,
);
await change(`${title}: one of ${endpoints} endpoints changes`);
await lookForObstacles();
addForeignSet();
await change(`${title}: the same beside a foreign interval set of ${FOREIGN_ELEMENTS}`, { isLimited: false });

async function change(what: string, { isLimited = true } = {}): Promise<void> {
  const changed = new Set([`default/svc-${services - 1}`]);
  writes.length = 0;
  checks.length = 0;
  const walls: number[] = [];
  for (let index = 1; index <= CHANGES; index++) {
    const start = performance.now();
    await session.apply(index % 2 === 0 ? before : after, { changed });
    walls.push(performance.now() - start);
  }
  const cpu = sum(writes.map(({ cpuMs }) => cpuMs)) / writes.length;
  const checkCpu = sum(checks.map(({ cpuMs }) => cpuMs)) / CHANGES;
  const wall = median(writes.map((write) => write.wallMs));
  const limit = (value: number, most: number) => (isLimited ? ` ${verdict(value <= most, most)}` : "");
  console.log(
    `${what}: the nft that switches takes ${cpu.toFixed(1)} ms CPU${limit(cpu, MAX_SWITCH_CPU_MS)}, ` +
      `${wall.toFixed(1)} ms${limit(wall, MAX_SWITCH_MS)}; reading it again ${checkCpu.toFixed(1)} ms CPU; ` +
      `with all around it ${median(walls).toFixed(1)} ms`,
  );
}

/** Beside rules as Docker loads them, which have to be followed. */
async function lookForObstacles(): Promise<void> {
  for (const rule of DOCKER_RULES) execFileSync("iptables-nft", rule.split(" "));
  await using opened = await kernelMachine(thisMachine).open({ signal, isExclusive: false });
  const took: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = cpuMs();
    await opened.problemsWith(before, { signal });
    took.push(cpuMs() - start);
  }
  const share = Math.min(...took) / applyMs;
  console.log(
    `${title}: finding what is in the way takes ${(100 * share).toFixed(1)} % of an apply from nothing (reading the topology apart) ` +
      verdict(share <= MAX_SEARCH, `${100 * MAX_SEARCH} %`),
  );
}

function verdict(isMet: boolean, limit: number | string): string {
  return `(at most ${limit}: ${isMet ? "met" : "MISSED"})`;
}

function addForeignSet(): void {
  const elements = Array.from({ length: FOREIGN_ELEMENTS }, (_, index) => {
    const [high, low] = [index >> 7, (index & 127) * 2];
    return `100.${high >> 8}.${high & 255}.${low}`;
  });
  const input =
    "add table inet theirs; add set inet theirs blocked { type ipv4_addr; flags interval; }\n" +
    `add element inet theirs blocked { ${elements.join(", ")} }\n`;
  execFileSync("nft", ["-f", "-"], { input });
}

function topologyOf(shift: number): Topology {
  return parseTopology(Buffer.from(largeTopologyText({ services, endpoints }, shift)), { file: "large" }).topology;
}

/** Of this process and the ones that it started and that are over. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000 + childrenCpuMs();
}

/** Of what this process started, and of what its shell did; in steps of the kernel's clock: many have to be added up. */
function childrenCpuMs(): number {
  const shells = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").split(" ").filter(Boolean);
  const [, , ...own] = cpuTicks("self");
  return sum([...own, ...shells.flatMap(cpuTicks)]) * 10;
}

/** In user mode, in the kernel, and both of children that are over. @see proc_pid_stat(5) */
function cpuTicks(pid: string): readonly number[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).map(Number);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** Of the whole machine: what others do meanwhile is in it. */
function kernelMemoryMiB(): number {
  const lines = readFileSync("/proc/meminfo", "utf8").matchAll(/^(?:Slab|Percpu|VmallocUsed):\s+(\d+)/gm);
  return [...lines].reduce((sum, [, kibibytes]) => sum + Number(kibibytes), 0) / 1024;
}
