import { useEffect, useState } from "preact/hooks";
import type { PageConnections, PageData, PageService, PageState, ServiceView } from "../model.ts";
import { CarriedOut } from "./carried-out.tsx";
import { ConnectionList } from "./connection-list.tsx";
import { linkTo } from "./route.ts";
import { ServiceWays } from "./service-ways.tsx";
import { Shown } from "./shown.tsx";
import { StateMark } from "./state-mark.tsx";
import { type Known, useAnswer } from "./store.ts";
import { plural, portWords, socket } from "./words.ts";

interface ServicePageProps {
  readonly data: PageData;
  readonly known: Known;
  readonly state: PageState;
  readonly id: string;
  readonly host: string | undefined;
}

/** Who is connected is asked this often while a service is open, and more rarely where that takes long. */
const CONNECTIONS_MS = 2_000;
/** Of the time, asking takes at most this part. */
const CONNECTIONS_SHARE = 0.05;

/** One service: who may dial it, who answers, what carries it out, and who is connected. */
export function ServicePage({ data, known, state, id, host }: ServicePageProps) {
  const service = state.services.find((candidate) => candidate.id === id);
  const shown = state.hosts.find(({ name }) => name === host) ?? state.hosts[0];
  // With new counts there are new counters of its rules.
  const countedAt = Array.from(known.counts.values(), ({ takenAt }) => takenAt).join(" ");
  const views = useAnswer(() => data.service(id), [data, id, state.takenAt, countedAt]);
  const connections = useConnections(data, shown?.name, id);
  if (service === undefined || shown === undefined)
    return (
      <>
        <h1>
          <Shown text={id} />
        </h1>
        <p>There is no such service (any more).</p>
      </>
    );
  const place = state.hosts.indexOf(shown);
  const own = service.states[place];
  return (
    <>
      <h1>
        <Shown text={id} /> {own !== undefined && <StateMark state={own} />}
      </h1>
      {own?.why !== undefined && (
        <p class={own.kind === "undecided" ? "why doubt" : "why"}>
          <Shown text={own.why} />{" "}
          {own.shownBy !== undefined && (
            <a href={linkTo({ kind: "packet", packet: own.shownBy.packet })}>Follow the packet</a>
          )}
        </p>
      )}
      <p class="quiet">
        <Shown text={service.ports.map(portWords).join(" · ")} />
      </p>
      {state.hosts.length > 1 && <HostTabs state={state} service={service} shown={shown.name} />}
      {views.kind === "waiting" && <p role="status">Following its packets…</p>}
      {views.kind === "failed" && (
        <p class="why" role="alert">
          <Shown text={views.why} />
        </p>
      )}
      {views.kind === "answer" && (
        <Details views={views.value} shown={shown.name} service={service} state={state} connections={connections} />
      )}
    </>
  );
}

/** Who is connected, while somebody looks; undefined where nobody can tell. */
function useConnections(data: PageData, host: string | undefined, id: string): PageConnections | undefined {
  const [connections, setConnections] = useState<PageConnections>();
  useEffect(() => {
    if (host === undefined) return;
    let isOpen = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      const startedMs = performance.now();
      const answer = document.hidden ? undefined : await data.connections(host, id).catch(() => undefined);
      if (!isOpen) return;
      if (answer !== undefined) setConnections(answer);
      const tookMs = performance.now() - startedMs;
      timer = setTimeout(ask, Math.max(CONNECTIONS_MS, tookMs / CONNECTIONS_SHARE));
    };
    void ask();
    return () => {
      isOpen = false;
      clearTimeout(timer);
      setConnections(undefined);
    };
  }, [data, host, id]);
  return connections;
}

function HostTabs({
  state,
  service,
  shown,
}: {
  readonly state: PageState;
  readonly service: PageService;
  readonly shown: string;
}) {
  return (
    <nav aria-label="Hosts" class="tabs">
      {state.hosts.map(({ name }, index) => {
        const own = service.states[index];
        return (
          <a
            key={name}
            href={linkTo({ kind: "service", id: service.id, host: name })}
            {...(name === shown ? { "aria-current": "page" as const } : {})}
          >
            <Shown text={name} /> {own !== undefined && <StateMark state={own} />}
          </a>
        );
      })}
    </nav>
  );
}

interface DetailsProps {
  /** Of each host. */
  readonly views: readonly ServiceView[];
  readonly shown: string;
  readonly service: PageService;
  readonly state: PageState;
  readonly connections: PageConnections | undefined;
}

function Details({ views, shown, service, state, connections }: DetailsProps) {
  const view = views.find(({ host }) => host === shown);
  if (view === undefined) return null;
  const known = views.filter((_view, index) => state.hosts[index]?.rules !== "none");
  return (
    <>
      <ServiceWays view={view} service={service} connections={connections} />
      {connections !== undefined && <ConnectionList connections={connections} state={state} />}
      <CarriedOut views={known.length === 0 ? [view] : known} />
      <EndpointList view={view} />
    </>
  );
}

function EndpointList({ view: { endpoints } }: { readonly view: ServiceView }) {
  return (
    <section aria-labelledby="endpoints">
      <h2 id="endpoints">{plural(endpoints.length, "endpoint")}</h2>
      <ul class="plain">
        {endpoints.map((endpoint) => (
          <li key={socket(endpoint.address, endpoint.port)}>
            <code>{socket(endpoint.address, endpoint.port)}</code> <Shown text={endpoint.pod ?? ""} />{" "}
            <Shown class="quiet" text={`on ${endpoint.host ?? "no host of the topology"}`} />{" "}
            <span class={`condition ${endpoint.condition}`}>{endpoint.condition}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
