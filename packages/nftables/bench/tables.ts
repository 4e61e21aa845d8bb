/**
 * What a large table costs beside iptables rules for the same plan, as ratios within one interleaved run:
 * `pnpm --filter @svcproxy/nftables bench`; with IPTABLES_NFT=1 beside iptables-nft-restore too. Needs root, nft, iptables-legacy, and
 * python3; builds the command line first.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import type { ToolRunner } from "@svcproxy/host";
import { machineInside } from "@svcproxy/host/testing";
import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import { type HostPlan, parseTopology, planHost } from "@svcproxy/topology";
import { kernelMachine } from "../src/data-path/kernel-machine.ts";
import { NftablesDataPath } from "../src/index.ts";
import { LARGE_HOST, largeTopologyText } from "./large-plan.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const CHANGES = Number(process.env["CHANGES"] ?? 100);
/** Once, for the smaller size: it takes a minute and more. */
const MEASURES_IPTABLES_NFT = process.env["IPTABLES_NFT"] === "1";
const FOREIGN_ELEMENTS = 50_000;
const SIZES = [
  { services: 10_000, endpoints: 3, loadTarget: 0.75 },
  { services: 44_000, endpoints: 1, loadTarget: 1 },
] as const;

const TIMED = resolve(import.meta.dirname, "run-timed.py");
const CLI = resolve(import.meta.dirname, "../../cli");
const PROGRAM = join(CLI, "bin/svcproxy.cjs");

interface Timed {
  readonly cpuMs: number;
  readonly wallMs: number;
}

const { signal } = new AbortController();
const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
// Whoever else works on this machine is not to wait for us.
process.env["RUNTIME_DIRECTORY"] = folder;
process.env["XTABLES_LOCKFILE"] = join(folder, "xtables.lock");
try {
  execFileSync(process.execPath, ["build.ts"], { cwd: CLI, stdio: "ignore" });
  for (const size of SIZES) await benchSize(size);
} finally {
  rmSync(folder, { recursive: true });
}

async function benchSize({ services, endpoints, loadTarget }: (typeof SIZES)[number]): Promise<void> {
  const title = `${services} × ${endpoints}`;
  const file = join(folder, `${services}.json`);
  writeFileSync(file, largeTopologyText({ services, endpoints }));
  const onHost = ["--host", LARGE_HOST, "--family", "4"];
  const print = (name: string, ...flags: string[]) => {
    const path = join(folder, `${services}-${name}`);
    const input = execFileSync(process.execPath, [PROGRAM, ...flags, file, ...onHost], { maxBuffer: 2 ** 30 });
    writeFileSync(path, input);
    return path;
  };
  const rules = print("rules", "iptables", "--format", "restore");
  const loads = [
    { name: "iptables-legacy-restore", command: ["iptables-legacy-restore", "--noflush"], input: rules },
    { name: "iptables-nft-restore", command: ["iptables-nft-restore", "--noflush"], input: rules },
    { name: "nft -f", command: ["nft", "-f", "-"], input: print("table", "nftables") },
    {
      name: "nft -f, with traffic counters",
      command: ["nft", "-f", "-"],
      input: print("counted", "nftables", "--traffic-counters"),
    },
    {
      name: "svcproxy nftables apply",
      command: [process.execPath, PROGRAM, "nftables", "apply", file, ...onHost, "--foreign-host"],
      input: "/dev/null",
    },
  ];
  const times = new Map<string, Timed[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, command, input } of loads) {
      if (name === "iptables-nft-restore" && (round > 0 || services > 10_000 || !MEASURES_IPTABLES_NFT)) continue;
      await using namespace = await createNetworkNamespace();
      times.set(name, [...(times.get(name) ?? []), runTimed(namespace, command, input)]);
    }
  }
  // Other work on the machine only ever makes one slower.
  const cpu = (name: string) => Math.min(...(times.get(name) ?? []).map((timed) => timed.cpuMs));
  const legacy = cpu("iptables-legacy-restore");
  const targets: Readonly<Record<string, number>> = { "nft -f": loadTarget, "svcproxy nftables apply": 2 };
  for (const name of times.keys()) tell(`${title}: ${name}`, cpu(name), { over: legacy, target: targets[name] });
  await benchSession({ title, services, endpoints, load: cpu("nft -f") });
}

/** What comes after the load: a look at all, single changes, and both beside a large set of somebody else's. */
async function benchSession(input: {
  readonly title: string;
  readonly services: number;
  readonly endpoints: number;
  readonly load: number;
}): Promise<void> {
  const { title, services, endpoints, load } = input;
  await using namespace = await createNetworkNamespace();
  const plans = [0, 1].map((shift) => {
    const { topology } = parseTopology(Buffer.from(largeTopologyText(input, shift)), { file: "large" });
    return planHost(topology, { host: LARGE_HOST });
  });
  const before = kernelMemoryMiB();
  const { machine, writes } = timedMachine(namespace);
  const dataPath = new NftablesDataPath({ machine: kernelMachine(machine) });
  await using session = await dataPath.open(signal);
  await session.apply(plans[0] as HostPlan);
  await delay(1000);
  console.log(`${title}: kernel memory ${(kernelMemoryMiB() - before).toFixed(1)} MiB (at most 15 for 10,000 × 3)`);
  const looks: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = cpuMs();
    await dataPath.compare(plans[0] as HostPlan, { signal });
    looks.push(cpuMs() - start);
  }
  tell(`${title}: reading all back and comparing, over its load`, Math.min(...looks), { over: load, target: 4 });
  const changed = new Set([`default/svc-${services - 1}`]);
  const change = async () => {
    writes.length = 0;
    const walls: number[] = [];
    for (let index = 1; index <= CHANGES; index++) {
      const start = performance.now();
      await session.apply(plans[index % 2] as HostPlan, { changed });
      walls.push(performance.now() - start);
    }
    const each = writes.reduce((sum, write) => sum + write, 0) / writes.length;
    return { each, wall: median(walls) };
  };
  const alone = await change();
  console.log(
    `${title}: one of ${endpoints} endpoints changes: ${alone.each.toFixed(1)} ms CPU in a nft that writes (at most 5), ` +
      `${alone.wall.toFixed(1)} ms until it is verified (at most 20)`,
  );
  const elements = Array.from({ length: FOREIGN_ELEMENTS }, (_, index) => {
    const [high, low] = [index >> 7, (index & 127) * 2];
    return `100.${high >> 8}.${high & 255}.${low}`;
  });
  const foreign =
    "add table inet theirs; add set inet theirs blocked { type ipv4_addr; flags interval; }\n" +
    `add element inet theirs blocked { ${elements.join(", ")} }\n`;
  await namespace.run("nft", ["-f", "-"], { input: foreign });
  const beside = await change();
  console.log(
    `${title}: the same beside a foreign interval set of ${FOREIGN_ELEMENTS}: ${beside.each.toFixed(1)} ms CPU, ` +
      `${beside.wall.toFixed(1)} ms`,
  );
}

/** A machine inside a namespace, and the CPU time that each nft took that wrote. */
function timedMachine(namespace: NetworkNamespace) {
  const writes: number[] = [];
  const inner = machineInside(namespace);
  const run: ToolRunner = async (tool, args, options) => {
    const start = childrenCpuMs();
    const output = await inner.run(tool, args, options);
    if (tool === "nft" && args.includes("-f")) writes.push(childrenCpuMs() - start);
    return output;
  };
  return { machine: { ...inner, run }, writes };
}

function runTimed(namespace: NetworkNamespace, command: readonly string[], input: string): Timed {
  const inside = [`--net=/proc/${namespace.pid}/ns/net`, "python3", TIMED, input, ...command];
  const timed: Timed = JSON.parse(execFileSync("nsenter", inside, { encoding: "utf8" }));
  return timed;
}

/** Of this process and the ones that it started and that are over. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000 + childrenCpuMs();
}

/** In steps of the kernel's clock: many have to be added up. */
function childrenCpuMs(): number {
  const stat = readFileSync("/proc/self/stat", "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

/** Of the whole machine: what others do meanwhile is in it. */
function kernelMemoryMiB(): number {
  const lines = readFileSync("/proc/meminfo", "utf8").matchAll(/^(?:Slab|Percpu|VmallocUsed):\s+(\d+)/gm);
  return [...lines].reduce((sum, [, kibibytes]) => sum + Number(kibibytes), 0) / 1024;
}

function tell(what: string, value: number, { over, target }: { over: number; target: number | undefined }): void {
  const ratio = value / over;
  const verdict = target === undefined ? "" : ` (at most ${target}: ${ratio <= target ? "met" : "MISSED"})`;
  console.log(`${what}: ${value.toFixed(0)} ms CPU, ratio ${ratio.toFixed(2)}${verdict}`);
}

function median(values: readonly number[]): number {
  const middle = values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
  if (middle === undefined) throw new RangeError("no median of nothing");
  return middle;
}
