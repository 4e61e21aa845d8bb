import { Graph, layout } from "@dagrejs/dagre";

export interface SizedBox {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  /** Those of one group stand below each other in a frame that has its name. */
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
  readonly boxes: ReadonlyMap<string, Rectangle>;
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

export interface LayoutOptions {
  /** Between a box and the next to its right, beside the label. Default 30. */
  readonly gap?: number;
  /** Whether what stands above each other stays in the order in which it was given; else lines cross as rarely as they can. */
  readonly keepsOrder?: boolean;
  /** Of a tree: whether each box stands as high as the first to which it leads; else in the middle of them. */
  readonly alignsTop?: boolean;
}

const MARGIN = 16;
/** Between boxes above each other. */
const BOX_GAP = 18;
/** A character of a label. */
const LABEL_WIDTH = 8;
const LABEL_HEIGHT = 18;
/** Around the boxes of a group, and between them. */
const GROUP_PADDING = 10;
const GROUP_NAME_HEIGHT = 18;

/** Places boxes from left to right along their lines. */
export function layOut(
  boxes: readonly SizedBox[],
  lines: readonly SizedLine[],
  { gap = 30, keepsOrder = false, alignsTop = false }: LayoutOptions = {},
): Layout {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: "LR", nodesep: BOX_GAP, ranksep: gap, edgesep: 8, marginx: MARGIN, marginy: MARGIN });
  const blocks = blocksOf(boxes);
  const blockOf = new Map(blocks.flatMap((block) => block.boxes.map(({ id }) => [id, block.id] as const)));
  for (const { id, width, height } of blocks) graph.setNode(id, { width, height });
  for (const [index, { from, to, label }] of lines.entries())
    graph.setEdge(
      blockOf.get(from) ?? from,
      blockOf.get(to) ?? to,
      { width: label.length * LABEL_WIDTH, height: label === "" ? 0 : LABEL_HEIGHT, labelpos: "c" },
      String(index),
    );
  layout(graph, { disableOptimalOrderHeuristic: keepsOrder });
  const { width = 0, height = 0 } = graph.graph();
  const top = alignsTop ? alignTop(graph) : height;
  const placed = new Map<string, Rectangle>();
  const groups = new Map<string, Rectangle>();
  for (const block of blocks) {
    const corner = cornerOf(graph.node(block.id));
    if (block.group !== undefined) groups.set(block.group, corner);
    for (const box of block.boxes) placed.set(box.id, { ...box, x: corner.x + box.x, y: corner.y + box.y });
  }
  return { width, height: top, boxes: placed, groups, lines: draw(lines, placed, { alignsTop }) };
}

/** Moves the boxes of a tree up and to the left, each subtree below the one before. @returns the height of it all */
function alignTop(graph: Graph): number {
  const topOf = (id: string): number => graph.node(id).y;
  const place = (id: string, y: number): number => {
    const box = graph.node(id);
    const next: readonly string[] = graph.successors(id) ?? [];
    const below = next.toSorted((a, b) => topOf(a) - topOf(b));
    box.y = y + box.height / 2;
    const left = Math.min(...below.map((child) => graph.node(child).x - graph.node(child).width / 2));
    let bottom = y;
    for (const child of below) {
      graph.node(child).x = left + graph.node(child).width / 2;
      bottom = place(child, bottom) + BOX_GAP;
    }
    return Math.max(bottom - BOX_GAP, y + box.height);
  };
  const sources: readonly string[] = graph.sources();
  let bottom = MARGIN;
  for (const source of sources) bottom = place(source, bottom);
  return bottom + MARGIN;
}

/** What dagre places as one: a box, or the frame of a group with the boxes in it. */
interface Block {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  readonly group?: string;
  /** Their corners are the block's plus these. */
  readonly boxes: readonly (Rectangle & { readonly id: string })[];
}

function blocksOf(boxes: readonly SizedBox[]): readonly Block[] {
  const blocks = Map.groupBy(boxes, ({ id, group }) => (group === undefined ? `box ${id}` : `group ${group}`));
  const inGroups = boxes.filter(({ group }) => group !== undefined);
  // Frames are equally wide, and so are the boxes in them: they stand in one column.
  const widest = Math.max(0, ...inGroups.map(({ width, group = "" }) => Math.max(width, group.length * LABEL_WIDTH)));
  return Array.from(blocks, ([id, own]): Block => {
    const [first] = own;
    if (first === undefined) throw new TypeError("a group has a box");
    const { group, width, height } = first;
    return group === undefined
      ? { id, width, height, boxes: [{ ...first, x: 0, y: 0 }] }
      : frameOf(group, { id, boxes: own, widest });
  });
}

function frameOf(
  group: string,
  { id, boxes, widest }: { readonly id: string; readonly boxes: readonly SizedBox[]; readonly widest: number },
): Block {
  let y = GROUP_NAME_HEIGHT + GROUP_PADDING;
  const inside: Block["boxes"][number][] = [];
  for (const box of boxes) {
    inside.push({ ...box, width: widest, x: GROUP_PADDING, y });
    y += box.height + GROUP_PADDING;
  }
  return { id, group, width: widest + 2 * GROUP_PADDING, height: y, boxes: inside };
}

/** dagre tells the middle of what it places. */
function cornerOf({ x, y, width, height }: Rectangle): Rectangle {
  return { x: x - width / 2, y: y - height / 2, width, height };
}

/** How far from an end, as a part of its length, a line has its label: there it is apart from those that share the other end. */
const LABEL_AT = 0.28;
/** Lines of boxes that begin at the same height end in this uppermost part of them. */
const TOP_HEIGHT = 52;
/** Between a label and the box beside it. */
const LABEL_GAP = 14;

/** From right sides to left sides; those of one box leave and arrive apart from each other, in the order in which they do not cross. */
function draw(
  lines: readonly SizedLine[],
  boxes: ReadonlyMap<string, Rectangle>,
  { alignsTop }: { readonly alignsTop: boolean },
): readonly PlacedLine[] {
  const middle = (id: string) => {
    const { y, height } = boxes.get(id) ?? NOWHERE;
    return y + height / 2;
  };
  const heightOn = (side: "from" | "to") => {
    const other = side === "from" ? "to" : "from";
    const heights = new Map<SizedLine, number>();
    for (const [id, own] of Map.groupBy(lines, (line) => line[side])) {
      const { y, height: whole } = boxes.get(id) ?? NOWHERE;
      const height = alignsTop ? Math.min(whole, TOP_HEIGHT) : whole;
      const sorted = own.toSorted((a, b) => middle(a[other]) - middle(b[other]));
      for (const [index, line] of sorted.entries()) heights.set(line, y + (height * (index + 1)) / (sorted.length + 1));
    }
    return heights;
  };
  const [leaving, arriving] = [heightOn("from"), heightOn("to")];
  const many = (side: "from" | "to", id: string) => lines.filter((line) => line[side] === id).length;
  return lines.map((line): PlacedLine => {
    const { x, width } = boxes.get(line.from) ?? NOWHERE;
    const [x1, x2] = [round(x + width), round(boxes.get(line.to)?.x ?? 0)];
    const [y1, y2] = [round(leaving.get(line) ?? 0), round(arriving.get(line) ?? 0)];
    const bend = round((x2 - x1) / 2);
    return {
      path: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`,
      label: labelOf(line.label, { x1, y1, x2, y2, isAtStart: many("to", line.to) > many("from", line.from) }),
    };
  });
}

interface LabelledCurve {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
  /** Near the box where it begins; else near the one where it ends. */
  readonly isAtStart: boolean;
}

function labelOf(label: string, { x1, y1, x2, y2, isAtStart }: LabelledCurve): PlacedLine["label"] {
  const apart = Math.max((x2 - x1) * LABEL_AT, (label.length * LABEL_WIDTH) / 2 + LABEL_GAP);
  const x = isAtStart ? x1 + apart : x2 - apart;
  return { x: round(x), y: round(y1 + (y2 - y1) * riseAt((x - x1) / (x2 - x1))) };
}

/** How much of its rise such a curve has behind it at a part of its width. */
function riseAt(part: number): number {
  // x(t) = 1.5 (t - t²) + t³ and y(t) = 3 t² - 2 t³ of its way; x rises with t.
  let [low, high] = [0, 1];
  for (let step = 0; step < 20; step++) {
    const t = (low + high) / 2;
    if (1.5 * (t - t * t) + t * t * t < part) low = t;
    else high = t;
  }
  return 3 * low * low - 2 * low * low * low;
}

const NOWHERE: Rectangle = { x: 0, y: 0, width: 0, height: 0 };

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
