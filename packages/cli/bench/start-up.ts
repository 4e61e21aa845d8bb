import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import process from "node:process";

/**
 * How long the built command takes to start, over `node -e 0` in the same run. Target: 1.6 at most.
 *
 *     pnpm --filter svcproxy build && pnpm --filter svcproxy bench
 */
const ROUNDS = Number(process.env["ROUNDS"] ?? 41);
const bundle = resolve(import.meta.dirname, "../dist/svcproxy.cjs");
const example = resolve(import.meta.dirname, "../../../examples/cloudos.yaml");

const yardstick = ["-e", "0"];
const commands: Readonly<Record<string, readonly string[]>> = {
  "svcproxy --version": [bundle, "--version"],
  "svcproxy iptables examples/cloudos.yaml": [bundle, "iptables", example, "--host", "cloudos1"],
};

/** Wall milliseconds of one whole process. */
function timeOf(args: readonly string[]): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`node ${args.join(" ")} exited with ${status}: ${stderr}`);
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

const times = new Map<readonly string[], number[]>([yardstick, ...Object.values(commands)].map((args) => [args, []]));
for (let round = -1; round < ROUNDS; round++) {
  for (const [args, taken] of times) {
    const ms = timeOf(args);
    if (round >= 0) taken.push(ms); // the first round warms the caches
  }
}

const base = times.get(yardstick) ?? [];
process.stdout.write(`node -e 0: ${median(base).toFixed(1)} ms (median of ${ROUNDS})\n`);
for (const [name, args] of Object.entries(commands)) {
  const taken = times.get(args) ?? [];
  const ratio = median(taken.map((ms, round) => ms / (base[round] ?? Number.NaN)));
  process.stdout.write(`${name}: ${median(taken).toFixed(1)} ms, ratio ${ratio.toFixed(2)} (target 1.60)\n`);
}
