/**
 * What a large table costs beside iptables rules for the same plan, as ratios within one interleaved run:
 * `pnpm --filter @svcproxy/nftables bench`. Beside iptables-nft-restore it is with fewer services, which take that a second and more, and
 * with IPTABLES_NFT=1 with 10,000 too. Needs root, nft, iptables of both variants, and python3; builds the command line first. Connections
 * and, where there is one, a real kube-proxy are measured after it.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { LARGE_HOST } from "@svcproxy/host/testing";
import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import { largeTopologyText } from "./large-plan.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
/** Once: it takes a minute and more. */
const MEASURES_IPTABLES_NFT = process.env["IPTABLES_NFT"] === "1";
/** So many of 3 endpoints each for iptables-nft-restore. */
const FEW_SERVICES = 2_000;
const SIZES = [
  { services: 10_000, endpoints: 3, loadTarget: 0.75 },
  { services: 44_000, endpoints: 1, loadTarget: 1 },
] as const;

const SESSION = resolve(import.meta.dirname, "session.ts");
const TIMED = resolve(import.meta.dirname, "run-timed.py");
const CLI = resolve(import.meta.dirname, "../../cli");
const PROGRAM = join(CLI, "bin/svcproxy.cjs");

interface Timed {
  readonly cpuMs: number;
  readonly wallMs: number;
}

const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
// Whoever else works on this machine is not to wait for us.
process.env["RUNTIME_DIRECTORY"] = folder;
process.env["XTABLES_LOCKFILE"] = join(folder, "xtables.lock");
try {
  execFileSync(process.execPath, ["build.ts"], { cwd: CLI, stdio: "ignore" });
  await benchIptablesNft();
  for (const size of SIZES) await benchSize(size);
} finally {
  rmSync(folder, { recursive: true });
}

async function benchIptablesNft(): Promise<void> {
  const size = { services: FEW_SERVICES, endpoints: 3 };
  const { print } = writePlan(size);
  const rules = print("rules", "iptables", "--format", "restore");
  const loads = [
    { name: "iptables-legacy-restore", command: ["iptables-legacy-restore", "--noflush"], input: rules },
    { name: "iptables-nft-restore", command: ["iptables-nft-restore", "--noflush"], input: rules },
    { name: "nft -f", command: ["nft", "-f", "-"], input: print("table", "nftables") },
  ];
  const times = await timeLoads(loads, {
    isMeasured: ({ name }, round) => name !== "iptables-nft-restore" || round < 2,
  });
  for (const name of times.keys()) {
    const title = `${size.services} × ${size.endpoints}: ${name}`;
    tell(title, cpuOf(times, name), { over: cpuOf(times, "iptables-legacy-restore"), target: undefined });
  }
}

async function benchSize({ services, endpoints, loadTarget }: (typeof SIZES)[number]): Promise<void> {
  const title = `${services} × ${endpoints}`;
  const { file, onHost, print } = writePlan({ services, endpoints });
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
  const times = await timeLoads(loads, {
    isMeasured: ({ name }, round) =>
      name !== "iptables-nft-restore" || (round === 0 && services === 10_000 && MEASURES_IPTABLES_NFT),
  });
  const cpu = (name: string) => cpuOf(times, name);
  const legacy = cpu("iptables-legacy-restore");
  const targets: Readonly<Record<string, number>> = { "nft -f": loadTarget, "svcproxy nftables apply": 2 };
  for (const name of times.keys()) tell(`${title}: ${name}`, cpu(name), { over: legacy, target: targets[name] });
  await using namespace = await createNetworkNamespace();
  const sizes = [services, endpoints, cpu("nft -f")].map(String);
  execFileSync("nsenter", [`--net=/proc/${namespace.pid}/ns/net`, process.execPath, SESSION, ...sizes], {
    stdio: "inherit",
  });
}

/** A topology in a file, and what the command line prints of it. */
function writePlan({ services, endpoints }: { readonly services: number; readonly endpoints: number }) {
  const file = join(folder, `${services}.json`);
  writeFileSync(file, largeTopologyText({ services, endpoints }));
  const onHost = ["--host", LARGE_HOST, "--family", "4"];
  const print = (name: string, ...flags: string[]) => {
    const path = join(folder, `${services}-${name}`);
    const input = execFileSync(process.execPath, [PROGRAM, ...flags, file, ...onHost], { maxBuffer: 2 ** 30 });
    writeFileSync(path, input);
    return path;
  };
  return { file, onHost, print };
}

interface Load {
  readonly name: string;
  readonly command: readonly string[];
  readonly input: string;
}

async function timeLoads(
  loads: readonly Load[],
  { isMeasured }: { readonly isMeasured: (load: Load, round: number) => boolean },
): Promise<ReadonlyMap<string, readonly Timed[]>> {
  const times = new Map<string, Timed[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const load of loads) {
      if (!isMeasured(load, round)) continue;
      await using namespace = await createNetworkNamespace();
      times.set(load.name, [...(times.get(load.name) ?? []), runTimed(namespace, load.command, load.input)]);
    }
  }
  return times;
}

/** Other work on the machine only ever makes one slower. */
function cpuOf(times: ReadonlyMap<string, readonly Timed[]>, name: string): number {
  return Math.min(...(times.get(name) ?? []).map((timed) => timed.cpuMs));
}

function runTimed(namespace: NetworkNamespace, command: readonly string[], input: string): Timed {
  const inside = [`--net=/proc/${namespace.pid}/ns/net`, "python3", TIMED, input, ...command];
  const timed: Timed = JSON.parse(execFileSync("nsenter", inside, { encoding: "utf8" }));
  return timed;
}

function tell(what: string, value: number, { over, target }: { over: number; target: number | undefined }): void {
  const ratio = value / over;
  const verdict = target === undefined ? "" : ` (at most ${target}: ${ratio <= target ? "met" : "MISSED"})`;
  console.log(`${what}: ${value.toFixed(0)} ms CPU, ratio ${ratio.toFixed(2)}${verdict}`);
}
