import { visible } from "@svcproxy/topology";
import { useMemo } from "preact/hooks";
import type { PageCounts, PageEndpoint, PageService, PageState, ServiceState } from "../model.ts";
import { ProblemList, servicesOf } from "./problem-list.tsx";
import { problemsOf } from "./problems-of.ts";
import { linkTo, type Route } from "./route.ts";
import { findServices, hostsThatDifferFirst, sortServices } from "./search-services.ts";
import { Shown } from "./shown.tsx";
import { StateMark } from "./state-mark.tsx";
import { VirtualRows } from "./virtual-rows.tsx";
import { plural, portWords, STATE_WORDS, socket, worstOf } from "./words.ts";

type ServicesRoute = Extract<Route, { kind: "services" }>;

interface ServicesPageProps {
  readonly state: PageState;
  readonly counts: ReadonlyMap<string, PageCounts>;
  readonly route: ServicesRoute;
}

/** All services, with what is wrong above them. */
export function ServicesPage({ state, counts, route }: ServicesPageProps) {
  const shown = useMemo(
    () => sortServices(findServices(state.services, route), state.hosts.length > 1),
    [state, route.search, route.namespace, route.state],
  );
  const named = route.namespace !== "" || route.search !== "" || route.state !== "";
  const all = useMemo(() => problemsOf(state), [state]);
  const isFound = useMemo(() => new Set(shown.map(({ id }) => id)), [shown]);
  const problems = named ? all.filter((problem) => servicesOf(problem).some((id) => isFound.has(id))) : all;
  return (
    <>
      <h1 class="visually-hidden">Services</h1>
      <ProblemList problems={problems} />
      <Filters state={state} route={route} count={shown.length} />
      <ServiceTable state={state} counts={counts} services={shown} />
    </>
  );
}

function Filters({
  state,
  route,
  count,
}: {
  readonly state: PageState;
  readonly route: ServicesRoute;
  readonly count: number;
}) {
  const namespaces = useMemo(() => [...new Set(state.services.map(({ namespace }) => namespace))].sort(), [state]);
  const go = (change: Partial<ServicesRoute>) => location.replace(linkTo({ ...route, ...change }));
  return (
    <search>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label>
          Search{" "}
          <input
            type="search"
            value={route.search}
            placeholder="name, address or port"
            onInput={({ currentTarget }) => go({ search: currentTarget.value })}
          />
        </label>
        <label>
          Namespace{" "}
          <select value={route.namespace} onChange={({ currentTarget }) => go({ namespace: currentTarget.value })}>
            <option value="">all</option>
            {namespaces.map((namespace) => (
              <option key={namespace} value={namespace}>
                {visible(namespace)}
              </option>
            ))}
          </select>
        </label>
        <label>
          State{" "}
          <select value={route.state} onChange={({ currentTarget }) => go({ state: currentTarget.value })}>
            <option value="">all</option>
            {Object.entries(STATE_WORDS).map(([kind, words]) => (
              <option key={kind} value={kind}>
                {words}
              </option>
            ))}
          </select>
        </label>
        <output class="quiet">
          {count === state.services.length
            ? plural(count, "service")
            : `${count.toLocaleString("en-US")} of ${plural(state.services.length, "service")}`}
        </output>
      </form>
    </search>
  );
}

function ServiceTable({
  state,
  counts,
  services,
}: {
  readonly state: PageState;
  readonly counts: ServicesPageProps["counts"];
  readonly services: readonly PageService[];
}) {
  const order = useMemo(() => hostsThatDifferFirst(state), [state]);
  const hosts = order.flatMap((index) => state.hosts[index] ?? []);
  const hasCounts = counts.size > 0;
  const columns = [
    { name: "Service", width: 185 },
    { name: "Addresses", width: 180 },
    { name: "Endpoints", width: 225 },
    ...(hosts.length > 1 ? hosts.map(({ name }) => ({ name, width: 118 })) : [{ name: "State", width: 150 }]),
    ...(hasCounts ? [{ name: "New per second", width: 132, isNumber: true as const }] : []),
  ];
  const everyMs = Math.max(0, ...Array.from(counts.values(), (count) => count.everyMs));
  return (
    <section aria-label="Services" class="services">
      <VirtualRows
        label="All services"
        columns={columns}
        rows={services}
        keyOf={({ id }) => id}
        cells={(service) => [
          <ServiceName key="name" service={service} />,
          <Addresses key="addresses" service={service} />,
          <Endpoints key="endpoints" endpoints={service.endpoints} />,
          ...order.flatMap((index) => {
            const own = service.states[index];
            return own === undefined ? [] : [<StateWithWhy key={index} state={own} />];
          }),
          ...(hasCounts ? [<Rate key="rate" counts={counts} id={service.id} />] : []),
        ]}
      />
      {services.length === 0 && (
        <p class="quiet empty">
          {state.services.length === 0 ? "There are no services in what was read." : "No service matches."}
        </p>
      )}
      {hasCounts && (
        <p class="quiet foot">
          New connections are counted every {(everyMs / 1000).toLocaleString("en-US", { maximumFractionDigits: 1 })} s
          while this page is open.
          {Array.from(counts.values(), ({ note }) => note ?? "").join(" ")}
        </p>
      )}
    </section>
  );
}

function StateWithWhy({ state }: { readonly state: ServiceState }) {
  const why = state.shownBy?.because ?? state.why;
  return (
    <>
      <StateMark state={state} />
      {why !== undefined && <Shown class="because" text={why} title={state.why} />}
    </>
  );
}

function ServiceName({ service: { id, namespace, name, states } }: { readonly service: PageService }) {
  const worst = worstOf(states);
  return (
    <a class="name" href={linkTo({ kind: "service", id })} title={visible([id, worst.why ?? ""].join("\n").trim())}>
      <Shown text={name} />
      {namespace !== "default" && (
        <>
          <span class="visually-hidden"> in </span>
          <Shown class="quiet" text={namespace} />
        </>
      )}
    </a>
  );
}

const SHOWN_ADDRESSES = 2;
const SHOWN_NODE_PORTS = 2;

function Addresses({ service: { ports } }: { readonly service: PageService }) {
  const all = ports.flatMap(({ addresses, port, protocol }) =>
    addresses.map(({ address }) => `${socket(address, port)}${protocol === "tcp" ? "" : `/${protocol}`}`),
  );
  const nodes = ports.flatMap(({ nodePort }) => (nodePort === undefined ? [] : [nodePort]));
  const shown = all.slice(0, nodes.length > 0 ? 1 : SHOWN_ADDRESSES);
  const more = [
    ...(all.length > shown.length ? [`+${all.length - shown.length}`] : []),
    ...(nodes.length > 0 ? [`NodePort ${nodes.slice(0, SHOWN_NODE_PORTS).join(", ")}`] : []),
  ];
  const [first = "none", ...others] = shown;
  return (
    <span class="addresses" title={[...all, ...ports.map(portWords)].join("\n")}>
      <span>{first}</span>
      {others.length + more.length > 0 && (
        <span>
          {others.join(" ")} <span class="quiet">{more.join(" · ")}</span>
        </span>
      )}
    </span>
  );
}

/** On no host of the topology. */
const ELSEWHERE = "elsewhere";

const CONDITIONS = ["ready", "draining", "dead"] as const;

/** Ready, draining and dead ones, and on how many hosts they are. */
function Endpoints({ endpoints }: { readonly endpoints: readonly PageEndpoint[] }) {
  if (endpoints.length === 0) return <span class="quiet">none</span>;
  const counted = CONDITIONS.map((condition) => ({
    condition,
    count: endpoints.filter((endpoint) => endpoint.condition === condition).length,
  })).filter(({ count }) => count > 0);
  const byHost = Map.groupBy(endpoints, ({ host }) => host ?? ELSEWHERE);
  const title = Array.from(
    byHost,
    ([host, own]) => `${host}: ${own.map(({ address, port }) => socket(address, port)).join(", ")}`,
  );
  return (
    <span class="endpoints" title={title.map(visible).join("\n")}>
      {counted.map(({ condition, count }) => (
        <span key={condition} class={`condition ${condition}`}>
          {count} {condition}
        </span>
      ))}
      <Shown class="quiet place" text={placesOf([...byHost.keys()])} />
    </span>
  );
}

function placesOf(hosts: readonly string[]): string {
  const [only = ELSEWHERE] = hosts;
  if (hosts.length > 1) return `on ${plural(hosts.length, "host")}`;
  return only === ELSEWHERE ? ELSEWHERE : `on ${only}`;
}

function Rate({ counts, id }: { readonly counts: ServicesPageProps["counts"]; readonly id: string }) {
  const rate = Array.from(counts.values(), ({ perSecond }) => perSecond[id] ?? 0).reduce((sum, one) => sum + one, 0);
  return (
    <span class={rate === 0 ? "rate quiet" : "rate"}>{rate.toLocaleString("en-US", { maximumFractionDigits: 1 })}</span>
  );
}
