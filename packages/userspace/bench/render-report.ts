import { execFileSync } from "node:child_process";
import { cpus, loadavg, release } from "node:os";
import process from "node:process";
import type { Comparison } from "./measurements.ts";
import { median, significant } from "./statistics.ts";
import { renderTargets } from "./targets.ts";

/** The report as Markdown: a table for each measurement, medians with the ratio to the first subject. */
export function renderReport({
  comparisons,
  rounds,
  seconds,
}: {
  comparisons: readonly Comparison[];
  rounds: number;
  seconds: number;
}): string {
  return `# Benchmarks of the userspace proxy

Made by \`pnpm bench:userspace\` (\`--quick\` for a first look): ${rounds} rounds of ${seconds} s in which all programs take turns, on
${cpus().length} cores (${cpus()[0]?.model ?? "unknown"}) that load and servers share, Linux ${release()}, Node ${process.versions.node}, ${versionOf("haproxy", "-v")},
${versionOf("nginx", "-v")}. Figures are medians; in parentheses the median of each round's ratio to the first row. Gaps under 10 %
(keep-alive requests: 15 %) are noise. HAProxy runs with \`nbthread 1\`, nginx with one worker. Load average at the end: ${loadAverage()};
the benchmark itself makes two to three of it, and with much more the rates say little, CPU seconds still something.

**Bulk depends on the buffer before anything else.** svcproxy's buffers grow to 256 KiB in a burst, HAProxy's and nginx's
default is 16 KiB: compare it with the rows at 256 KiB. CPU seconds are those of the proxy alone and the fairest figures
on a shared machine.

${[renderTargets(comparisons), ...comparisons.map(renderComparison)].join("\n")}`;
}

function renderComparison({ measurement, results }: Comparison): string {
  const [baseline] = results.values();
  const figures = Object.keys(baseline?.[0] ?? {});
  const rows = [...results].map(([subject, rounds]) => {
    const cells = figures.map((figure) => {
      const value = median(rounds.map((round) => round[figure] ?? Number.NaN));
      const ratio = median(
        rounds.map((round, index) => (round[figure] ?? Number.NaN) / (baseline?.[index]?.[figure] ?? Number.NaN)),
      );
      return rounds === baseline ? significant(value) : `${significant(value)} (${significant(ratio)})`;
    });
    return `| ${[subject, ...cells].join(" | ")} |`;
  });
  return `## ${measurement}

| | ${figures.join(" | ")} |
|---|${figures.map(() => "---").join("|")}|
${rows.join("\n")}
`;
}

function loadAverage(): string {
  return significant(loadavg()[1] ?? Number.NaN);
}

function versionOf(program: string, flag: string): string {
  const text = execFileSync("sh", ["-c", `${program} ${flag} 2>&1`], { encoding: "utf8" });
  return `${program} ${/\d+\.\d+\.\d+/.exec(text)?.[0] ?? ""}`;
}
