import type { ClientKind } from "@svcproxy/topology";
import type { FrontendView, PageConnections, PageEndpoint, ServiceView } from "../model.ts";
import { layOut, type SizedLine } from "../picture/lay-out.ts";
import { percent } from "../picture/trace-picture.ts";
import { linkTo } from "./route.ts";
import { endpointName, KIND_WORDS, socket } from "./words.ts";

const MAX_FRONTENDS = 12;
const MAX_ENDPOINTS = 24;
const BOX_HEIGHT = 46;
/** What a line with a label needs. */
const LINE_HEIGHT = 20;
const CHARACTER_WIDTH = 7.8;

interface ServiceDrawingProps {
  readonly view: ServiceView;
  readonly client: ClientKind;
  readonly connections: PageConnections | undefined;
}

interface Box {
  readonly id: string;
  readonly lines: readonly string[];
  readonly kind: string;
  readonly group?: string;
}

interface Line extends SizedLine {
  readonly href?: string;
  readonly title: string;
}

/** What clients dial at the left, who answers at the right, with shares and live connections between them. */
export function ServiceDrawing({ view, client, connections }: ServiceDrawingProps) {
  const { boxes, lines, untold } = drawingOf({ view, client, connections });
  const sized = boxes.map(({ id, lines: texts, group }) => ({
    id,
    width: Math.max(...texts.map(({ length }) => length)) * CHARACTER_WIDTH + 24,
    height: heightOf(id, lines),
    ...(group === undefined ? {} : { group }),
  }));
  const layout = layOut(sized, lines, { gap: 90 });
  return (
    <>
      <svg
        class="service"
        width={layout.width}
        height={layout.height}
        viewBox={`0 0 ${layout.width} ${layout.height}`}
        aria-label={`${view.id} from ${client === "host" ? "the host" : client}`}
      >
        {[...layout.groups].map(([name, { x, y, width, height }]) => (
          <g class="group" key={name} transform={`translate(${x} ${y})`}>
            <rect width={width} height={height} rx={8} />
            <text x={10} y={-6}>
              {name}
            </text>
          </g>
        ))}
        {lines.map((line, index) => {
          const placed = layout.lines[index];
          if (placed === undefined) return null;
          return (
            <a
              class="line"
              key={`${line.from} ${line.to}`}
              href={line.href ?? "#"}
              aria-label={line.title}
              {...(line.href === undefined ? { tabIndex: -1 } : {})}
            >
              <title>{line.title}</title>
              <path class="wide" d={placed.path} />
              <path d={placed.path} />
              <text x={placed.label.x} y={placed.label.y - 5} text-anchor="middle">
                {line.label}
              </text>
            </a>
          );
        })}
        {boxes.map(({ id, lines: texts, kind }, index) => {
          const { x, y } = layout.boxes.get(id) ?? { x: 0, y: 0 };
          return (
            <g class={`box ${kind}`} key={id} transform={`translate(${x} ${y})`}>
              <rect width={sized[index]?.width ?? 0} height={sized[index]?.height ?? 0} rx={6} />
              {texts.map((text, row) => (
                <text key={text} class={row === 0 ? "title" : "note"} x={12} y={19 + row * 17}>
                  {text}
                </text>
              ))}
            </g>
          );
        })}
      </svg>
      {untold.length > 0 && <p class="quiet">Not drawn: {untold.join(", ")}</p>}
    </>
  );
}

/** With room for a label at each line that arrives. */
function heightOf(id: string, lines: readonly SizedLine[]): number {
  return Math.max(BOX_HEIGHT, lines.filter(({ to }) => to === id).length * LINE_HEIGHT);
}

function drawingOf({ view, client, connections }: ServiceDrawingProps) {
  const frontends = view.frontends.slice(0, MAX_FRONTENDS);
  const boxes: Box[] = frontends.map((frontend, index) => ({
    id: `frontend-${index}`,
    lines: [socket(frontend.address, frontend.port), `${KIND_WORDS[frontend.kind]}, ${frontend.protocol}`],
    kind: "frontend",
  }));
  const lines: Line[] = [];
  const drawn = new Set<number>();
  const used = new Set<string>();
  for (const [index, frontend] of frontends.entries()) {
    const handling = frontend.clients[client];
    if (handling.kind !== "forward") {
      used.add(handling.kind);
      lines.push({
        from: `frontend-${index}`,
        to: handling.kind,
        label: "",
        title: `${handling.kind === "refuse" ? "refused" : "dropped"}: follow a packet`,
        ...linkOf(view, frontend, client),
      });
      continue;
    }
    for (const place of handling.endpoints) {
      if (drawn.size >= MAX_ENDPOINTS && !drawn.has(place)) continue;
      drawn.add(place);
      const endpoint = view.endpoints[place];
      if (endpoint === undefined) continue;
      const live = liveOf(connections, frontend, endpoint);
      const share = percent(1 / handling.endpoints.length);
      const label = live === 0 ? share : `${share} · ${live} live`;
      lines.push({
        from: `frontend-${index}`,
        to: `endpoint-${place}`,
        label,
        title: `${label} of ${socket(frontend.address, frontend.port)} go to ${endpointName(endpoint)}: follow a packet`,
        ...linkOf(view, frontend, client),
      });
    }
  }
  const isShown = (index: number) => drawn.has(index) || drawn.size < MAX_ENDPOINTS;
  const endpoints = view.endpoints.flatMap((endpoint, index) => (isShown(index) ? [endpointBox(endpoint, index)] : []));
  for (const kind of used)
    boxes.push({ id: kind, kind, lines: kind === "refuse" ? ["refused", "at once"] : ["dropped", "no answer"] });
  return {
    boxes: [...boxes, ...endpoints.slice(0, MAX_ENDPOINTS)],
    lines,
    untold: [
      ...(view.frontends.length > frontends.length
        ? [`${view.frontends.length - frontends.length} more addresses`]
        : []),
      ...(view.endpoints.length > endpoints.length
        ? [`${view.endpoints.length - endpoints.length} more endpoints`]
        : []),
    ],
  };
}

function endpointBox(endpoint: PageEndpoint, index: number): Box {
  const place = socket(endpoint.address, endpoint.port);
  return {
    id: `endpoint-${index}`,
    lines: [endpointName(endpoint), endpoint.condition === "ready" ? place : `${place}, ${endpoint.condition}`],
    kind: endpoint.condition,
    group: endpoint.host ?? "on no host of the topology",
  };
}

function linkOf(view: ServiceView, { examples, address, port, protocol }: FrontendView, client: ClientKind) {
  const from = examples[client];
  if (from === undefined) return {};
  return {
    href: linkTo({
      kind: "packet",
      packet: { host: view.host, from, to: address, port, protocol: protocol.toLowerCase() },
    }),
  };
}

function liveOf(connections: PageConnections | undefined, frontend: FrontendView, endpoint: PageEndpoint): number {
  if (connections === undefined) return 0;
  const dialled = socket(frontend.address, frontend.port);
  const answers = socket(endpoint.address, endpoint.port);
  return connections.connections.filter((one) => one.frontend === dialled && one.endpoint === answers).length;
}
