import type { TraceJson } from "@svcproxy/rules";
import type { ComponentChildren } from "preact";
import { linesOf, type TextLine } from "./box-lines.ts";
import { type Layout, layOut } from "./lay-out.ts";
import { type PictureBox, pictureOf } from "./trace-picture.ts";

const PADDING = 12;
const LINE_HEIGHT = 17;
/** Of a character in the fonts that are used, in pixels; a little more than they have. */
const CHARACTER_WIDTH = 7.3;
const LEAST_WIDTH = 150;

interface DrawnBox {
  readonly box: PictureBox;
  readonly lines: readonly TextLine[];
  readonly width: number;
  readonly height: number;
}

/** A packet's ways through a host as an SVG: what it meets, where it divides, and where each way ends. */
export function TraceDrawing({ trace, style }: { readonly trace: TraceJson; readonly style?: ComponentChildren }) {
  const picture = pictureOf(trace);
  const drawn = picture.boxes.map(sizeOf);
  const layout = layOut(
    drawn.map(({ box: { id }, width, height }) => ({ id, width, height })),
    picture.lines,
  );
  return (
    <svg
      class="trace"
      xmlns="http://www.w3.org/2000/svg"
      width={layout.width}
      height={layout.height}
      viewBox={`0 0 ${layout.width} ${layout.height}`}
      role="img"
      aria-label={describe(trace)}
    >
      {style}
      {picture.lines.map((line, index) => (
        <Line key={`${line.from} ${line.to}`} label={line.label} placed={layout.lines[index]} />
      ))}
      {drawn.map((one) => (
        <Box key={one.box.id} drawn={one} layout={layout} />
      ))}
    </svg>
  );
}

/** In a sentence, for who does not see it. */
export function describe({ branches }: TraceJson): string {
  const ways = branches.map(
    ({ probability, verdict, endpoint, because }) =>
      `${Number((probability.value * 100).toFixed(2))} % ${verdict}${endpoint === null ? `: ${because}` : ` at ${endpoint}`}`,
  );
  return `Where the packet goes: ${ways.join("; ")}`;
}

function sizeOf(box: PictureBox): DrawnBox {
  const lines = linesOf(box);
  const longest = Math.max(...lines.map(({ text, style }) => text.length * (style === "title" ? 1.12 : 1)));
  return {
    box,
    lines,
    width: Math.max(LEAST_WIDTH, longest * CHARACTER_WIDTH + 2 * PADDING),
    height: lines.length * LINE_HEIGHT + 2 * PADDING - 4,
  };
}

function Box({ drawn: { box, lines, width, height }, layout }: { readonly drawn: DrawnBox; readonly layout: Layout }) {
  const { x, y } = layout.boxes.get(box.id) ?? { x: 0, y: 0 };
  return (
    <g class={`box ${box.kind}${box.kind === "end" ? ` ${box.verdict}` : ""}`} transform={`translate(${x} ${y})`}>
      <rect width={width} height={height} rx={box.kind === "steps" ? 4 : 14} />
      {lines.map(({ text, style, full }, index) => (
        <text key={index} class={style} x={PADDING} y={PADDING + LINE_HEIGHT * (index + 0.7)} xml:space="preserve">
          {text}
          {full !== undefined && <title>{full}</title>}
        </text>
      ))}
    </g>
  );
}

function Line({ placed, label }: { readonly placed: Layout["lines"][number] | undefined; readonly label: string }) {
  if (placed === undefined) return null;
  return (
    <g class="line">
      <path d={placed.path} />
      {label !== "" && (
        <text class="share" x={placed.label.x} y={placed.label.y - 5} text-anchor="middle">
          {label}
        </text>
      )}
    </g>
  );
}
