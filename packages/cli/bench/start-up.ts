import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

/**
 * How long the built command takes to start, over `node -e 0` in the same run: warm, with the code that Node keeps between runs,
 * and cold, without. Targets: 2 and 3. In CPU time, which a busy machine changes less than what a clock shows.
 *
 *     pnpm --filter svcproxy bench
 */
const ROUNDS = Number(process.env["ROUNDS"] ?? 11);
/** Runs of one command in a row: the shell tells CPU time in milliseconds, and a run takes 20. */
const BATCH = 5;

const program = resolve(import.meta.dirname, "../bin/svcproxy.cjs");
const example = resolve(import.meta.dirname, "../../../examples/cloudos.yaml");
const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
const COLD = { NODE_DISABLE_COMPILE_CACHE: "1" };

interface Measured {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Most that it may take of the yardstick's time. */
  readonly target: number;
  readonly cpuMs: number[];
}

function measured(name: string, args: readonly string[], { env = {}, target = 1 } = {}): Measured {
  return { name, args, env, target, cpuMs: [] };
}

const yardstick = measured("node -e 0", ["-e", "0"]);
const all = [yardstick];
for (const [name, args] of [
  ["svcproxy --version", ["--version"]],
  ["svcproxy iptables examples/cloudos.yaml", ["iptables", example, "--host", "cloudos1"]],
] as const) {
  all.push(measured(`${name}, warm`, [program, ...args], { target: 2 }));
  all.push(measured(`${name}, cold`, [program, ...args], { target: 3, env: COLD }));
}

/** CPU milliseconds of one whole process, on average. */
function cpuMsOf({ args, env }: Measured): number {
  const script = `for _ in ${"x ".repeat(BATCH)}; do "$@" >&2 || exit 1; done; times`;
  const { status, stdout, stderr } = spawnSync("bash", ["-c", script, "bash", process.execPath, ...args], {
    encoding: "utf8",
    env: { ...process.env, XDG_CACHE_HOME: folder, ...env },
  });
  if (status !== 0) throw new Error(`node ${args.join(" ")} failed: ${stderr}`);
  const ofChildren = stdout.trim().split("\n").at(-1) ?? "";
  const seconds = [...ofChildren.matchAll(/(\d+)m([\d.]+)s/g)].map(([, m, s]) => Number(m) * 60 + Number(s));
  return (seconds.reduce((sum, part) => sum + part, 0) * 1000) / BATCH;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

for (let round = -1; round < ROUNDS; round++) {
  for (const one of all) {
    const ms = cpuMsOf(one);
    if (round >= 0) one.cpuMs.push(ms); // the first round fills the caches
  }
}
rmSync(folder, { recursive: true });
const base = median(yardstick.cpuMs);
process.stdout.write(`${yardstick.name}: ${base.toFixed(1)} ms of CPU (median of ${ROUNDS} rounds of ${BATCH})\n`);
for (const { name, cpuMs, target } of all.slice(1)) {
  const ms = median(cpuMs);
  process.stdout.write(`${name}: ${ms.toFixed(1)} ms, ratio ${(ms / base).toFixed(2)} (target ${target.toFixed(2)})\n`);
}
