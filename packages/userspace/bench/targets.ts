import type { Comparison } from "./measurements.ts";
import { median, significant } from "./statistics.ts";
import { NODES_FLOOR } from "./subjects.ts";

/** What a figure of the proxy should be, as a ratio to a peer's in the same round. */
interface Target {
  readonly measurement: RegExp;
  readonly figure: string;
  readonly subject: string;
  readonly peer: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

const OURS = { subject: "svcproxy", peer: "HAProxy" };

const RATIO_TARGETS: readonly Target[] = [
  { ...OURS, measurement: /^bulk/, figure: "GB/s", atLeast: 1.4 },
  { ...OURS, measurement: /^bulk/, figure: "GB/s", peer: "HAProxy 256 KiB", atLeast: 0.95 },
  { ...OURS, measurement: /^bulk/, figure: "CPU s per GB", atMost: 0.65 },
  { ...OURS, measurement: /^keep-alive/, figure: "requests/s", atLeast: 0.92 },
  { ...OURS, measurement: /^new connections/, figure: "connections/s", atLeast: 0.5 },
  { ...OURS, measurement: /^new connections/, figure: "connections/s", peer: NODES_FLOOR, atLeast: 0.85 },
  { subject: NODES_FLOOR, peer: "HAProxy", measurement: /^new connections/, figure: "connections/s", atLeast: 0.5 },
  {
    ...OURS,
    measurement: /^new connections/,
    figure: "connections/s",
    subject: "svcproxy, 2 workers",
    atLeast: 0.68,
  },
  { ...OURS, measurement: /^UDP/, figure: "CPU s per 10k datagrams", peer: "nginx stream", atMost: 1.6 },
];

/** The one target that is no ratio. */
const IDLE_TARGET = { figure: "KiB per connection", atMost: 14 };

/** A table of the targets and what this run says of each. */
export function renderTargets(comparisons: readonly Comparison[]): string {
  const rows = comparisons.flatMap(({ measurement, results }) => {
    const ratios = RATIO_TARGETS.filter((target) => target.measurement.test(measurement)).map((target) => {
      const ours = results.get(target.subject) ?? [];
      const theirs = results.get(target.peer) ?? [];
      const value = median(
        ours.map(
          (round, index) => (round[target.figure] ?? Number.NaN) / (theirs[index]?.[target.figure] ?? Number.NaN),
        ),
      );
      return row({ what: `${measurement}: ${target.figure}, ${target.subject} to ${target.peer}`, value, ...target });
    });
    const idle = results.get(OURS.subject)?.flatMap((round) => round[IDLE_TARGET.figure] ?? []) ?? [];
    return idle.length === 0
      ? ratios
      : [...ratios, row({ what: `${measurement}: ${IDLE_TARGET.figure}`, value: median(idle), ...IDLE_TARGET })];
  });
  return `## Targets\n\n| | target | this run | |\n|---|---|---|---|\n${rows.join("\n")}\n`;
}

function row({
  what,
  value,
  atLeast = Number.NEGATIVE_INFINITY,
  atMost = Number.POSITIVE_INFINITY,
}: {
  what: string;
  value: number;
  atLeast?: number;
  atMost?: number;
}): string {
  const limit = Number.isFinite(atLeast) ? `at least ${atLeast}` : `at most ${atMost}`;
  return `| ${what} | ${limit} | ${significant(value)} | ${value >= atLeast && value <= atMost ? "met" : "missed"} |`;
}
