import { type ClientKind, visible } from "@svcproxy/topology";
import type { PageConnections, ServiceView } from "../model.ts";
import { layOut, type PlacedLine, type Rectangle, type SizedBox } from "../picture/lay-out.ts";
import { pictureOfService, type ServiceBox, type ServiceLine } from "./service-picture.ts";

const BOX_HEIGHT = 46;
const CHARACTER_WIDTH = 7.8;
/** Between what is dialled, what shares out, and who answers. */
const GAP = 80;

interface ServiceDrawingProps {
  readonly view: ServiceView;
  readonly client: ClientKind;
  readonly connections: PageConnections | undefined;
}

/** What clients dial at the left, who answers at the right, with shares and live connections between them. */
export function ServiceDrawing({ view, client, connections }: ServiceDrawingProps) {
  const { boxes, lines, untold } = pictureOfService({ view, client, connections });
  const layout = layOut(sized(boxes), lines, { gap: GAP, keepsOrder: true });
  return (
    <>
      <svg
        class="service"
        width={layout.width}
        height={layout.height}
        viewBox={`0 0 ${layout.width} ${layout.height}`}
        aria-label={`${visible(view.id)} from ${client === "host" ? "the host" : client}`}
      >
        {[...layout.groups].map(([name, { x, y, width, height }]) => (
          <g class="group" key={name} transform={`translate(${x} ${y})`}>
            <rect width={width} height={height} rx={8} />
            <text x={10} y={18}>
              {visible(name)}
            </text>
          </g>
        ))}
        {lines.map((line, index) => (
          <Line key={`${line.from} ${line.to}`} line={line} placed={layout.lines[index]} />
        ))}
        {boxes.map((box) => (
          <Box key={box.id} box={box} place={layout.boxes.get(box.id)} />
        ))}
      </svg>
      {untold.length > 0 && <p class="quiet">Not drawn: {untold.join(", ")}</p>}
    </>
  );
}

/** Boxes of a kind are equally wide. */
function sized(boxes: readonly ServiceBox[]): readonly SizedBox[] {
  const widths = Map.groupBy(boxes, ({ column }) => column);
  return boxes.map(({ id, column, group }) => ({
    id,
    width: Math.max(...(widths.get(column) ?? []).map(widthOf)),
    height: column === "balance" ? BOX_HEIGHT - 16 : BOX_HEIGHT,
    ...(group === undefined ? {} : { group }),
  }));
}

function widthOf({ lines }: ServiceBox): number {
  return Math.max(...lines.map(({ length }) => length)) * CHARACTER_WIDTH + 24;
}

function Line({
  line: { kind, href, title, label },
  placed,
}: {
  readonly line: ServiceLine;
  readonly placed: PlacedLine | undefined;
}) {
  if (placed === undefined || kind === "none") return null;
  const drawn = (
    <>
      <title>{visible(title)}</title>
      <path class="wide" d={placed.path} />
      <path d={placed.path} />
      {label !== "" && (
        <text x={placed.label.x} y={placed.label.y - 5} text-anchor="middle">
          {label}
        </text>
      )}
    </>
  );
  return href === undefined ? (
    <g class={`line ${kind}`}>{drawn}</g>
  ) : (
    <a class={`line ${kind}`} href={href} aria-label={visible(title)}>
      {drawn}
    </a>
  );
}

function Box({ box: { lines, kind }, place }: { readonly box: ServiceBox; readonly place: Rectangle | undefined }) {
  if (place === undefined) return null;
  const { x, y, width, height } = place;
  return (
    <g class={`box ${kind}`} transform={`translate(${x} ${y})`}>
      <rect width={width} height={height} rx={kind === "balance" ? 15 : 6} />
      {lines.map((text, row) => (
        <text key={text} class={row === 0 && kind !== "balance" ? "title" : "note"} x={12} y={19 + row * 17}>
          {visible(text)}
        </text>
      ))}
    </g>
  );
}
