import type { ClientKind } from "@svcproxy/topology";
import type { FrontendView, LiveConnections, PageConnections, PageEndpoint, ServiceView } from "../model.ts";
import type { SizedLine } from "../picture/lay-out.ts";
import { percent } from "../picture/trace-picture.ts";
import { linkTo } from "./route.ts";
import { endpointName, KIND_WORDS, plural, socket } from "./words.ts";

const MAX_FRONTENDS = 16;
const MAX_ENDPOINTS = 24;

/** A service as boxes and lines, for clients of one kind. */
export interface ServicePicture {
  readonly boxes: readonly ServiceBox[];
  readonly lines: readonly ServiceLine[];
  /** What there is besides, in words. */
  readonly untold: readonly string[];
}

export interface ServiceBox {
  readonly id: string;
  readonly column: "dialled" | "balance" | "answers";
  readonly kind: "frontend" | "balance" | "refuse" | "drop" | PageEndpoint["condition"];
  readonly lines: readonly string[];
  /** The host on which it is. */
  readonly group?: string;
}

export interface ServiceLine extends SizedLine {
  /** `idle`: for connections that are there, not for new ones; `none`: holds a box in its place, and is not drawn. */
  readonly kind: "share" | "idle" | "none";
  /** A packet along it. */
  readonly href?: string;
  readonly title: string;
}

interface Pictured {
  readonly view: ServiceView;
  readonly client: ClientKind;
  readonly connections: PageConnections | undefined;
}

/** What is dialled that has the same endpoints: there one point shares all of it out. */
interface Balanced {
  readonly frontends: readonly { readonly id: string; readonly frontend: FrontendView }[];
  /** Indexes into `ServiceView.endpoints`. */
  readonly endpoints: readonly number[];
}

/** What clients dial, who answers, and what of it goes where. */
export function pictureOfService(pictured: Pictured): ServicePicture {
  const { view, client } = pictured;
  const frontends = view.frontends.slice(0, MAX_FRONTENDS).map((frontend, index) => ({
    id: `frontend-${index}`,
    frontend,
  }));
  const balanced = balancedOf(frontends, client);
  const shown = shownEndpoints(view, balanced);
  const boxes: ServiceBox[] = frontends.map(({ id, frontend }) => frontendBox(id, frontend));
  const lines: ServiceLine[] = [];
  for (const [index, one] of balanced.entries()) {
    const drawn = one.endpoints.filter((place) => shown.has(place));
    if (one.frontends.length > 1 && one.endpoints.length > 1) {
      const id = `balance-${index}`;
      boxes.push({ id, column: "balance", kind: "balance", lines: [`one of ${one.endpoints.length}`] });
      for (const { id: from, frontend } of one.frontends)
        lines.push(towardsBalance({ from, to: id, frontend }, pictured));
      for (const place of drawn) lines.push(shareLine({ from: id, place, of: one }, pictured));
    } else
      for (const { id: from, frontend } of one.frontends)
        for (const place of drawn)
          lines.push(shareLine({ from, place, of: { ...one, frontends: [{ id: from, frontend }] } }, pictured));
  }
  const refusals = refusalsOf(frontends, pictured);
  const endpoints = [...shown].map((place) => endpointBox(view, place));
  lines.push(...refusals.lines, ...idleLines({ boxes: [...boxes, ...endpoints], lines }, pictured));
  return {
    boxes: [...boxes, ...byHost(endpoints), ...refusals.boxes],
    lines,
    untold: [
      ...more(view.frontends.length - frontends.length, ["address", "addresses"]),
      ...more(view.endpoints.length - shown.size, ["endpoint", "endpoints"]),
    ],
  };
}

function more(count: number, [one, several]: readonly [string, string]): readonly string[] {
  return count === 0 ? [] : [`${count} more ${count === 1 ? one : several}`];
}

function balancedOf(frontends: Balanced["frontends"], client: ClientKind): readonly Balanced[] {
  const groups = Map.groupBy(
    frontends.filter(({ frontend }) => frontend.clients[client].kind === "forward"),
    ({ frontend }) => JSON.stringify(endpointsOf(frontend, client)),
  );
  return Array.from(groups.values(), (own) => ({
    frontends: own,
    endpoints: own[0] === undefined ? [] : endpointsOf(own[0].frontend, client),
  }));
}

function endpointsOf({ clients }: FrontendView, client: ClientKind): readonly number[] {
  const handling = clients[client];
  return handling.kind === "forward" ? handling.endpoints.toSorted((a, b) => a - b) : [];
}

/** Those that get something come first, the others where there is room. */
function shownEndpoints({ endpoints }: ServiceView, balanced: readonly Balanced[]): ReadonlySet<number> {
  const used = balanced.flatMap((one) => one.endpoints);
  return new Set([...new Set([...used, ...endpoints.keys()])].slice(0, MAX_ENDPOINTS));
}

function frontendBox(id: string, { kind, address, port, protocol, portName }: FrontendView): ServiceBox {
  const name = portName === "" ? "" : ` ${portName}`;
  return {
    ...{ id, column: "dialled", kind: "frontend" },
    lines: [socket(address, port), `${KIND_WORDS[kind]}, ${protocol}${name}`],
  };
}

function endpointBox({ endpoints }: ServiceView, place: number): ServiceBox {
  const endpoint = endpoints[place];
  if (endpoint === undefined) throw new RangeError(`there is no endpoint ${place}`);
  const { address, port, condition, host, pod } = endpoint;
  const where = socket(address, port);
  return {
    ...{ id: `endpoint-${place}`, column: "answers", kind: condition },
    lines: pod === undefined ? [where, condition] : [pod, condition === "ready" ? where : `${where}, ${condition}`],
    group: host ?? "elsewhere",
  };
}

function byHost(boxes: readonly ServiceBox[]): readonly ServiceBox[] {
  return [...Map.groupBy(boxes, ({ group }) => group).values()].flat();
}

function towardsBalance(
  { from, to, frontend }: { readonly from: string; readonly to: string; readonly frontend: FrontendView },
  { view, client, connections }: Pictured,
): ServiceLine {
  const live = liveOf(connections, isFor([frontend]));
  return {
    ...{ from, to, kind: "share", label: live === 0 ? "" : `${live} live` },
    title: `${dialled(frontend)}, ${plural(live, "live connection")}: follow a packet`,
    ...linkOf(view, frontend, client),
  };
}

function shareLine(
  {
    from,
    place,
    of: { frontends, endpoints },
  }: { readonly from: string; readonly place: number; readonly of: Balanced },
  { view, client, connections }: Pictured,
): ServiceLine {
  const endpoint = view.endpoints[place];
  const names = frontends.map(({ frontend }) => dialled(frontend));
  const isOwn = isFor(frontends.map(({ frontend }) => frontend));
  const live = endpoint === undefined ? 0 : liveOf(connections, (one) => isTo(endpoint, one) && isOwn(one));
  const share = percent(1 / endpoints.length);
  const label = live === 0 ? share : `${share} · ${live} live`;
  const name = endpoint === undefined ? "" : endpointName(endpoint);
  const [first] = frontends;
  return {
    ...{ from, to: `endpoint-${place}`, kind: "share", label },
    title: `${label} of ${names.join(", ")} go to ${name}: follow a packet`,
    ...(first === undefined ? {} : linkOf(view, first.frontend, client)),
  };
}

function refusalsOf(frontends: Balanced["frontends"], { view, client }: Pictured) {
  const boxes = new Map<string, ServiceBox>();
  const lines: ServiceLine[] = [];
  for (const { id: from, frontend } of frontends) {
    const { kind } = frontend.clients[client];
    if (kind === "forward") continue;
    const words = kind === "refuse" ? ["refused", "at once"] : ["dropped", "no answer"];
    boxes.set(kind, { id: kind, column: "answers", kind, lines: words });
    const title = `${dialled(frontend)} is ${words[0]}: follow a packet`;
    lines.push({ from, to: kind, kind: "share", label: "", title, ...linkOf(view, frontend, client) });
  }
  return { boxes: [...boxes.values()], lines };
}

/** Endpoints that get nothing new stand at the right all the same; those that drain may still have connections. */
function idleLines(
  { boxes, lines }: Pick<ServicePicture, "boxes" | "lines">,
  { view, connections }: Pictured,
): readonly ServiceLine[] {
  const fed = new Set(lines.map(({ to }) => to));
  const from = boxes.find(({ column }) => column === "balance") ?? boxes.find(({ column }) => column === "dialled");
  if (from === undefined) return [];
  return boxes.flatMap(({ id, column, kind }): readonly ServiceLine[] => {
    if (column !== "answers" || fed.has(id)) return [];
    const endpoint = view.endpoints[Number(id.replace("endpoint-", ""))];
    const live = endpoint === undefined ? 0 : liveOf(connections, (one) => isTo(endpoint, one));
    if (live === 0 && kind !== "draining") return [{ from: from.id, to: id, kind: "none", label: "", title: "" }];
    const label = live === 0 ? "" : `${live} live`;
    return [{ from: from.id, to: id, kind: "idle", label, title: `nothing new: it is ${kind}` }];
  });
}

function linkOf(view: ServiceView, { examples, address, port, protocol }: FrontendView, client: ClientKind) {
  const from = examples[client];
  if (from === undefined) return {};
  const packet = { host: view.host, from, to: address, port, protocol: protocol.toLowerCase() };
  return { href: linkTo({ kind: "packet", packet }) };
}

function dialled({ address, port }: FrontendView): string {
  return socket(address, port);
}

function isTo({ address, port }: PageEndpoint, { endpoint }: LiveConnections): boolean {
  return endpoint === socket(address, port);
}

function isFor(frontends: readonly FrontendView[]): (live: LiveConnections) => boolean {
  const names = new Set(frontends.map((frontend) => `${dialled(frontend)} ${frontend.protocol.toLowerCase()}`));
  return ({ frontend, protocol }) => names.has(`${frontend} ${protocol.toLowerCase()}`);
}

function liveOf(connections: PageConnections | undefined, isMeant: (one: LiveConnections) => boolean): number {
  return connections?.live.filter(isMeant).reduce((sum, { count }) => sum + count, 0) ?? 0;
}
