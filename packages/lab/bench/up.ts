import { spawnSync } from "node:child_process";
import process from "node:process";
import { parseTopology, type Topology } from "@svcproxy/topology";
import { planLab, startLab } from "../src/index.ts";

/**
 * How long a lab takes until its servers answer, and what its network costs against the same commands fed to bare
 * `ip -batch` and `bridge -batch`, one process a namespace, in namespaces of their own. Rounds alternate between the two,
 * so that other work on the machine hits both.
 */
const SIZES = [
  { hosts: 2, pods: 2, limitMs: 2000 },
  { hosts: 5, pods: 20, limitMs: 8000 },
];
const ROUNDS = 5;

for (const { hosts, pods, limitMs } of SIZES) {
  const topology = topologyOf(hosts, pods);
  const up: number[] = [];
  const network: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begun = performance.now();
    const started = await startLab(topology);
    up.push(performance.now() - begun);
    network.push(started.networkMs);
    await started[Symbol.asyncDispose]();
    bare.push(measureBare(topology));
  }
  const ratio = median(network.map((ms, round) => ms / (bare[round] ?? Number.NaN)));
  process.stdout.write(
    `${hosts} hosts x ${pods} pods: up in ${show(up)} (limit ${limitMs} ms); network ${show(network)}, ` +
      `bare ip -batch ${show(bare)}, ratio ${ratio.toFixed(2)} (limit 2)\n`,
  );
  if (median(up) > limitMs || ratio > 2) process.exitCode = 1;
}

function topologyOf(hosts: number, pods: number): Topology {
  const file = {
    hosts: range(hosts).map((host) => ({
      name: `host${host}`,
      address: `192.168.1.${10 + host}`,
      podCIDR: `10.7.${host}.0/24`,
      pods: range(pods).map((pod) => ({ name: `pod${host}-${pod}`, address: `10.7.${host}.${pod + 2}:3000` })),
    })),
    services: [],
  };
  return parseTopology(Buffer.from(JSON.stringify(file)), { file: "bench" }).topology;
}

/** The plan's lines in a shell that does nothing else. @returns milliseconds, without the start of the namespaces around */
function measureBare(topology: Topology): number {
  const { wiring, setups } = planLab(topology, { overlay: "vxlan", rpFilter: true });
  const batch = (command: string, lines: readonly string[]) =>
    lines.length === 0 ? [] : [`${command} -batch - <<'END'`, ...lines, "END"];
  const script = [
    "set -e; mount -n -t tmpfs tmpfs /run; begun=$(date +%s%N)",
    ...batch("ip", wiring),
    ...setups.flatMap(({ namespace, ip, bridge }) => [
      ...batch(`ip -n ${namespace}`, ip),
      ...batch(`bridge -n ${namespace}`, bridge),
    ]),
    "echo $(($(date +%s%N) - begun))",
  ].join("\n");
  const { stdout, stderr, status } = spawnSync("unshare", ["--net", "--mount", "sh", "-es"], { input: script });
  if (status !== 0) throw new Error(stderr.toString());
  return Number(stdout.toString()) / 1e6;
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function show(values: readonly number[]): string {
  return `${median(values).toFixed(0)} ms (${Math.min(...values).toFixed(0)}–${Math.max(...values).toFixed(0)})`;
}
