import { Graph, layout } from "@dagrejs/dagre";

export interface SizedBox {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  /** Those of one group are kept together. */
  readonly group?: string;
}

export interface SizedLine {
  readonly from: string;
  readonly to: string;
  readonly label: string;
}

/** Pixels; a box's place is its upper left corner. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly boxes: ReadonlyMap<string, { readonly x: number; readonly y: number }>;
  readonly groups: ReadonlyMap<string, Rectangle>;
  /** In the order of the lines that were given. */
  readonly lines: readonly PlacedLine[];
}

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface PlacedLine {
  /** As the `d` of an SVG path. */
  readonly path: string;
  /** The middle of its label. */
  readonly label: { readonly x: number; readonly y: number };
}

const MARGIN = 16;
/** A character of a label. */
const LABEL_WIDTH = 8;
const LABEL_HEIGHT = 18;

/** Places boxes from left to right along their lines. */
export function layOut(
  boxes: readonly SizedBox[],
  lines: readonly SizedLine[],
  { gap = 30 }: { /** Between a box and the next to its right, beside the label. */ readonly gap?: number } = {},
): Layout {
  const graph = new Graph({ compound: true, multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: 18, ranksep: gap, edgesep: 8, marginx: MARGIN, marginy: MARGIN });
  const groups = new Set(boxes.flatMap(({ group }) => (group === undefined ? [] : [group])));
  for (const group of groups) graph.setNode(`group ${group}`, {});
  for (const { id, width, height, group } of boxes) {
    graph.setNode(id, { width, height });
    if (group !== undefined) graph.setParent(id, `group ${group}`);
  }
  for (const [index, { from, to, label }] of lines.entries())
    graph.setEdge(
      from,
      to,
      { width: label.length * LABEL_WIDTH, height: label === "" ? 0 : LABEL_HEIGHT, labelpos: "c" },
      String(index),
    );
  layout(graph);
  const { width = 0, height = 0 } = graph.graph();
  const placed = new Map(boxes.map((box) => [box.id, cornerOf(graph.node(box.id))]));
  return {
    width,
    height,
    boxes: placed,
    groups: new Map(Array.from(groups, (group) => [group, cornerOf(graph.node(`group ${group}`))])),
    lines: draw(lines, placed),
  };
}

/** dagre tells the middle of what it places. */
function cornerOf({ x, y, width, height }: Rectangle): Rectangle {
  return { x: x - width / 2, y: y - height / 2, width, height };
}

/** How far from its end, as a part of its length, a line has its label: there it is apart from those that begin at the same box. */
const LABEL_AT = 0.28;

/** From right sides to left sides; those of one box leave and arrive apart from each other, in the order in which they do not cross. */
function draw(lines: readonly SizedLine[], boxes: ReadonlyMap<string, Rectangle>): readonly PlacedLine[] {
  const middle = (id: string) => {
    const { y, height } = boxes.get(id) ?? NOWHERE;
    return y + height / 2;
  };
  const heightOn = (side: "from" | "to") => {
    const other = side === "from" ? "to" : "from";
    const heights = new Map<SizedLine, number>();
    for (const [id, own] of Map.groupBy(lines, (line) => line[side])) {
      const { y, height } = boxes.get(id) ?? NOWHERE;
      const sorted = own.toSorted((a, b) => middle(a[other]) - middle(b[other]));
      for (const [index, line] of sorted.entries()) heights.set(line, y + (height * (index + 1)) / (sorted.length + 1));
    }
    return heights;
  };
  const [leaving, arriving] = [heightOn("from"), heightOn("to")];
  return lines.map((line): PlacedLine => {
    const { x, width } = boxes.get(line.from) ?? NOWHERE;
    const [x1, x2] = [round(x + width), round(boxes.get(line.to)?.x ?? 0)];
    const [y1, y2] = [round(leaving.get(line) ?? 0), round(arriving.get(line) ?? 0)];
    const bend = round((x2 - x1) / 2);
    return {
      path: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`,
      label: { x: x2 - (x2 - x1) * LABEL_AT, y: y1 + (y2 - y1) * RISE },
    };
  });
}

/** How much of its rise such a curve has behind it there. */
const RISE = 0.85;

const NOWHERE: Rectangle = { x: 0, y: 0, width: 0, height: 0 };

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
