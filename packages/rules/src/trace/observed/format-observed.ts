import type { Hook } from "../../rule-set.ts";
import { toNumber } from "../packet/fraction.ts";
import { HOOK_MEANINGS } from "../report/describe-event.ts";
import { describeOutcome } from "../report/describe-outcome.ts";
import { wrap } from "../report/wrap.ts";
import type { Trace } from "../trace-packet.ts";
import { describeEnd, nameHop, type ObservedComparison, socketText } from "./compare-observed.ts";
import type { Hop, ObservedEnd } from "./observed-hops.ts";
import type { ObservedPacket } from "./observed-packet.ts";

/** What stands ahead of a hop that is as predicted, of the first that is not, and of those behind it. */
const MARKS = { alike: "= ", first: "! ", behind: "? " } as const;

/** The way that the kernel took a packet, as a trace is told, 80 columns wide, and how it stands to the prediction. */
export function formatObserved(
  packet: ObservedPacket,
  { trace, comparison }: { readonly trace: Trace; readonly comparison: ObservedComparison },
): string {
  const { observed, alike, predicted, alikePredicted, agreement, branch } = comparison;
  const { source, sourcePort, destination, destinationPort, inInterface } = packet.header;
  const by = inInterface === undefined ? "sent by the host itself" : `in by ${inInterface}`;
  const { protocol } = trace.entry.packet;
  const lines = [
    ...wrap(
      `The kernel: a ${protocol.toUpperCase()} packet from ${socketText(source, sourcePort)} to ${socketText(destination, destinationPort)}, ${by}.`,
      { indent: "" },
    ),
    ...hopLines(observed.hops, (index) => (index < alike ? "alike" : index === alike ? "first" : "behind")),
    ...wrap(`So it ${describeEnd(observed.end)}.`, { indent: "  " }),
    "",
    ...wrap(verdictOf(comparison, trace), { indent: "" }),
  ];
  if (agreement === "agrees" || agreement === "undecided") return `${lines.join("\n")}\n`;
  const rest = predicted.slice(alikePredicted).map(({ hop }) => hop);
  const outcome = branch.kind === "undecided" ? "not decided" : describeOutcome(branch.outcome);
  return `${[
    ...lines,
    "",
    "Predicted from there on:",
    ...hopLines(rest, (index) => (index === 0 ? "first" : "behind")),
    ...wrap(`So it would be ${outcome}.`, { indent: "  " }),
  ].join("\n")}\n`;
}

function verdictOf(
  { agreement, branchIndex, branch, observed, disagreement = "" }: ObservedComparison,
  trace: Trace,
): string {
  const percent = Number((toNumber(branch.probability) * 100).toFixed(3));
  const by =
    trace.branches.length === 1 ? "" : ` by branch ${branchIndex + 1} of ${trace.branches.length} (${percent} %)`;
  const rules = observed.hops.length === 0 ? "no rule took it" : `the same ${plural(observed.hops.length)}`;
  switch (agreement) {
    case "agrees":
      return `As predicted${by}: ${rules}, and the same end${reasonOf(observed.end, branch)}.`;
    case "undecided":
      return `As predicted${by}, as far as that goes: it is not decided beyond these rules.`;
    case "other-way":
      return `The same end as predicted${by}, by other rules: ${disagreement}. Where several ways lead to one end the prediction tells one of them.`;
    case "disagrees":
      return `NOT AS PREDICTED${by === "" ? "" : `, not even${by}`}. First difference: ${disagreement}.`;
  }
}

function plural(rules: number): string {
  return rules === 1 ? "rule" : `${rules} rules`;
}

/** The kernel does not say why a packet came no further; the prediction does. */
function reasonOf(end: ObservedEnd, branch: ObservedComparison["branch"]): string {
  if (branch.kind === "undecided" || (end.kind !== "lost" && end.kind !== "dropped")) return "";
  return `: ${describeOutcome(branch.outcome)}`;
}

function hopLines(hops: readonly Hop[], markOf: (index: number) => keyof typeof MARKS): readonly string[] {
  const lines: string[] = [];
  let [hook, place]: [Hook | undefined, string] = [undefined, ""];
  for (const [index, hop] of hops.entries()) {
    if (hop.hook !== hook && hop.hook !== undefined) {
      lines.push(`  ${hop.hook}: ${HOOK_MEANINGS[hop.hook]}`);
      hook = hop.hook;
      place = "";
    }
    const depth = hop.kind === "rule" ? hop.depth : 0;
    const indent = " ".repeat(4 + 2 * depth);
    if (`${hop.table} ${hop.chain}` !== place)
      lines.push(...wrap(`${hop.table} ${hop.chain}`, { indent, first: indent }));
    place = `${hop.table} ${hop.chain}`;
    lines.push(...hopText(hop, { mark: MARKS[markOf(index)], indent }));
  }
  return lines;
}

function hopText(hop: Hop, { mark, indent }: { readonly mark: string; readonly indent: string }): readonly string[] {
  const ahead = `${mark}${indent}`;
  if (hop.kind === "policy") return [`${ahead}end of the chain: its policy is DROP`];
  const body = " ".repeat(ahead.length + 8);
  return wrap(hop.text === "" ? nameHop(hop) : hop.text, {
    first: `${ahead}${hop.number ?? "?"}. yes  `,
    indent: body,
  });
}
