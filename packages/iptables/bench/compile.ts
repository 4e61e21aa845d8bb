/**
 * From a topology file to restore text, the whole process and of it the part from the topology to the text, against the time
 * that iptables-legacy-restore takes to load that text: `pnpm --filter @svcproxy/iptables bench:compile`. Needs root and
 * python3.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { LARGE_HOST, type LargeTopologyOptions, largeTopologyText, median } from "@svcproxy/host/testing";

interface Case extends LargeTopologyOptions {
  /** Seconds and MiB that the whole process may take, the seconds in the document's dialect, which hashes nothing. */
  readonly seconds?: number;
  readonly peakMiB?: number;
  /** What the process may take of the time that loading takes. */
  readonly ratio?: number;
  /** What compiling may take of it. */
  readonly compileRatio?: number;
}

const ROUNDS = 3;
const CASES: readonly Case[] = [
  { services: 10_000, endpoints: 10, seconds: 1.5, peakMiB: 700, ratio: 0.5 },
  { services: 10_000, endpoints: 3, compileRatio: 0.5 },
  { services: 1000, endpoints: 100, compileRatio: 0.5 },
  { services: 1000, endpoints: 10, seconds: 0.5 },
];

interface Measured {
  readonly seconds: number;
  readonly peakMiB: number;
}

const svcproxy = fileURLToPath(new URL("../../../scripts/svcproxy", import.meta.url));
const compiler = fileURLToPath(new URL("compile-once.ts", import.meta.url));
const measurer = fileURLToPath(new URL("measure.py", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
// iptables-legacy's own lock is one for the whole machine, whatever the namespace: whoever else works there is not to wait for us.
process.env["XTABLES_LOCKFILE"] = join(folder, "xtables.lock");

function measure(command: readonly string[], { input, output }: { input: string; output: string }): Measured {
  return JSON.parse(execFileSync("python3", [measurer, input, output, ...command], { encoding: "utf8" }));
}

/** Seconds from the topology to the text, in a process of its own. */
function compileSeconds(topology: string, dialect: string): number {
  return Number(execFileSync(process.execPath, [compiler, topology, dialect], { encoding: "utf8" }));
}

function verdict(value: number, limit: number | undefined): string {
  return limit === undefined ? "" : ` (at most ${limit}: ${value <= limit ? "met" : "MISSED"})`;
}

try {
  for (const dialect of ["document", "kubernetes"]) {
    for (const each of CASES) {
      const topology = join(folder, "topology.yaml");
      const restore = join(folder, "rules.restore");
      writeFileSync(topology, largeTopologyText(each));
      const print = [svcproxy, "iptables", topology, "--host", LARGE_HOST, "--dialect", dialect, "--format", "restore"];
      const load = ["unshare", "--net", "iptables-legacy-restore", "--noflush"];
      const ours: Measured[] = [];
      const ratios: number[] = [];
      const compileRatios: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const printed = measure(print, { input: "/dev/null", output: restore });
        const loaded = measure(load, { input: restore, output: "/dev/null" });
        ours.push(printed);
        ratios.push(printed.seconds / loaded.seconds);
        compileRatios.push(compileSeconds(topology, dialect) / loaded.seconds);
      }
      const seconds = median(ours.map((measured) => measured.seconds));
      const peakMiB = Math.max(...ours.map((measured) => measured.peakMiB));
      const ratio = median(ratios);
      const compileRatio = median(compileRatios);
      console.log(
        `${dialect}, ${each.services} x ${each.endpoints}: ` +
          `${seconds.toFixed(2)} s${verdict(seconds, dialect === "document" ? each.seconds : undefined)}, ` +
          `${peakMiB.toFixed(0)} MiB${verdict(peakMiB, each.peakMiB)}, ` +
          `${ratio.toFixed(2)} of the time to load it${verdict(ratio, each.ratio)}, ` +
          `compiling ${compileRatio.toFixed(2)} of it${verdict(compileRatio, each.compileRatio)}`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
