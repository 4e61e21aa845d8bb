import { familyOf, visible } from "@svcproxy/topology";
import { toNumber } from "../packet/fraction.ts";
import type { Trace, TracedBranch } from "../trace-packet.ts";
import type { WalkEvent } from "../walk/walk-state.ts";
import { describeChanges, describeEnd, eventsOf, formatAnyRule, formatChance } from "./describe-event.ts";

export type GraphFormat = "mermaid" | "dot";

interface GraphNode {
  readonly id: string;
  readonly label: string;
  readonly isEnd: boolean;
}

interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly label: string;
}

/** A picture of a trace: the rules that took the packet, from where it enters to where each branch ends. */
export function drawTrace(trace: Trace, format: GraphFormat): string {
  const graph = graphOf(trace);
  return format === "mermaid" ? toMermaid(graph) : toDot(graph);
}

interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** Branches share the nodes of what they have in common. */
function graphOf({ entry, branches }: Trace): Graph {
  const { packet } = entry;
  const family = familyOf(packet.source);
  const nodes: GraphNode[] = [];
  const byEvent = new Map<WalkEvent, GraphNode>();
  const edges = new Map<string, GraphEdge>();
  const addNode = (label: string, isEnd = false): GraphNode => {
    const node = { id: `n${nodes.length}`, label, isEnd };
    nodes.push(node);
    return node;
  };
  const connect = (from: GraphNode, to: GraphNode, label: string) => {
    edges.set(`${from.id} ${to.id}`, { from: from.id, to: to.id, label });
  };
  const start = addNode(`${packet.protocol} ${packet.source} to ${describeEnd(endOfDestination(packet))}`);
  for (const branch of branches) {
    let at = start;
    for (const event of eventsOf(pastOf(branch)).filter(isTelling)) {
      const known = byEvent.get(event);
      const node = known ?? addNode(describeEvent(event, family));
      byEvent.set(event, node);
      if (node !== at) connect(at, node, event.outcome.kind === "chance" ? formatChance(event.outcome.chance) : "");
      at = node;
    }
    connect(at, addNode(describeEnding(branch), true), `${Number((toNumber(branch.probability) * 100).toFixed(3))} %`);
  }
  return { nodes, edges: [...edges.values()] };
}

function endOfDestination({ destination, destinationPorts }: Trace["entry"]["packet"]) {
  return destinationPorts === undefined ? { address: destination } : { address: destination, ports: destinationPorts };
}

function pastOf(branch: TracedBranch) {
  return branch.kind === "undecided" ? branch.question.past : branch.ended.state.past;
}

type RuleEvent = Extract<WalkEvent, { readonly kind: "rule" }>;

/** Rules that took the packet; what they let pass is left out of a picture. */
function isTelling(event: WalkEvent): event is RuleEvent {
  if (event.kind !== "rule") return false;
  return event.outcome.kind !== "immaterial" && !(event.outcome.kind === "assumed" && !event.outcome.took);
}

function describeEvent(event: RuleEvent, family: 4 | 6): string {
  const lines = [
    `${event.table} ${visible(event.chain)} ${event.number}`,
    formatAnyRule(event.rule, family),
    ...describeChanges(event),
  ];
  return lines.join("\n");
}

function describeEnding(branch: TracedBranch): string {
  if (branch.kind === "undecided") return `not decided\n${visible(branch.question.because)}`;
  const { verdict, destination, source, because } = branch.outcome;
  if (verdict !== "accepted" && verdict !== "untouched") return `${verdict}\n${visible(because)}`;
  return `${verdict} at ${describeEnd(destination)}\nas ${describeEnd(source)}`;
}

function toMermaid({ nodes, edges }: Graph): string {
  const text = (label: string) =>
    label
      .replaceAll("#", "#35;")
      .replaceAll("&", "#amp;")
      // A comment or a directive to mermaid itself, wherever it stands.
      .replaceAll("%%", "#37;#37;")
      .replaceAll('"', "#quot;")
      .replaceAll("<", "#lt;")
      .replaceAll(">", "#gt;")
      .replaceAll("\n", "<br/>");
  return [
    "flowchart TD",
    ...nodes.map(({ id, label, isEnd }) => (isEnd ? `  ${id}(["${text(label)}"])` : `  ${id}["${text(label)}"]`)),
    ...edges.map(({ from, to, label }) => `  ${from} -->${label === "" ? "" : `|"${text(label)}"|`} ${to}`),
    "",
  ].join("\n");
}

function toDot({ nodes, edges }: Graph): string {
  const text = (label: string) => label.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return [
    "digraph trace {",
    "  node [shape=box, fontname=monospace];",
    ...nodes.map(({ id, label, isEnd }) => `  ${id} [label="${text(label)}"${isEnd ? ", shape=oval" : ""}];`),
    ...edges.map(({ from, to, label }) => `  ${from} -> ${to}${label === "" ? "" : ` [label="${text(label)}"]`};`),
    "}",
    "",
  ].join("\n");
}
