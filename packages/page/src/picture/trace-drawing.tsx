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
/** Above a hook that is not the first of its box. */
const HOOK_GAP = 10;

interface DrawnBox {
  readonly box: PictureBox;
  readonly lines: readonly DrawnLine[];
  readonly width: number;
  readonly height: number;
}

interface DrawnLine extends TextLine {
  /** Of its base line in the box. */
  readonly y: number;
  /** Whether what the kernel did before at another hook ends above it. */
  readonly isDivided: boolean;
}

interface TraceDrawingProps {
  readonly trace: TraceJson;
  readonly style?: ComponentChildren;
  /** To what part of its width it may be made smaller to fit; it is as wide as it is where this is left out. */
  readonly shrinksTo?: number;
}

/** A packet's ways through a host as an SVG: what it meets, where it divides, and where each way ends. */
export function TraceDrawing({ trace, style, shrinksTo }: TraceDrawingProps) {
  const picture = pictureOf(trace);
  const drawn = picture.boxes.map(sizeOf);
  const layout = layOut(
    drawn.map(({ box: { id }, width, height }) => ({ id, width, height })),
    picture.lines,
    // Ways that end badly come first, and where it begins is seen with them.
    { keepsOrder: true, alignsTop: true },
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
      {...(shrinksTo === undefined ? {} : { style: { minWidth: `${Math.round(layout.width * shrinksTo)}px` } })}
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
function describe({ branches }: TraceJson): string {
  const ways = branches.map(
    ({ probability, verdict, endpoint, because }) =>
      `${Number((probability.value * 100).toFixed(2))} % ${verdict}${endpoint === null ? `: ${because}` : ` at ${endpoint}`}`,
  );
  return `Where the packet goes: ${ways.join("; ")}`;
}

function sizeOf(box: PictureBox): DrawnBox {
  const lines = placeLines(linesOf(box));
  const longest = Math.max(...lines.map(({ text, style }) => text.length * (style === "title" ? 1.12 : 1)));
  return {
    box,
    lines,
    width: Math.max(LEAST_WIDTH, longest * CHARACTER_WIDTH + 2 * PADDING),
    height: (lines.at(-1)?.y ?? 0) + PADDING,
  };
}

function placeLines(lines: readonly TextLine[]): readonly DrawnLine[] {
  let y = PADDING - LINE_HEIGHT * 0.3;
  return lines.map((line, index) => {
    const isDivided = index > 0 && line.isHead === true;
    y += LINE_HEIGHT + (isDivided ? HOOK_GAP : 0);
    return { ...line, y, isDivided };
  });
}

function Box({ drawn: { box, lines, width, height }, layout }: { readonly drawn: DrawnBox; readonly layout: Layout }) {
  const { x, y } = layout.boxes.get(box.id) ?? { x: 0, y: 0 };
  return (
    <g class={`box ${box.kind} ${endingOf(box)}`.trim()} transform={`translate(${x} ${y})`}>
      <rect width={width} height={height} rx={box.kind === "steps" ? 4 : 14} />
      {lines.map(({ text, style, full, y: base, isDivided }) => (
        <g key={base}>
          {isDivided && <path class="divide" d={`M0 ${base - LINE_HEIGHT - 1}H${width}`} />}
          <text class={style} x={PADDING} y={base} xml:space="preserve">
            {text}
            {full !== undefined && <title>{full}</title>}
          </text>
        </g>
      ))}
    </g>
  );
}

/** How it ends there, as a class; a way of which the answer is lost does not end well. */
function endingOf(box: PictureBox): string {
  if (box.kind !== "end") return "";
  return box.reply?.returns === false ? "lost" : box.verdict;
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
