import type { ClientKind } from "@svcproxy/topology";
import { useEffect, useState } from "preact/hooks";
import type { PageConnections, PageData, PageService, PageState, RuleView, ServiceView } from "../model.ts";
import { linkTo } from "./route.ts";
import { ScrollBox } from "./scroll-box.tsx";
import { ServiceDrawing } from "./service-drawing.tsx";
import { StateMark } from "./state-mark.tsx";
import { type Known, useAnswer } from "./store.ts";
import { endpointName, nameOfAddress, plural, portWords, socket } from "./words.ts";

interface ServicePageProps {
  readonly data: PageData;
  readonly known: Known;
  readonly state: PageState;
  readonly id: string;
  readonly host: string | undefined;
}

/** Who is connected is asked this often while a service is open. */
const CONNECTIONS_MS = 2_000;

/** One service: who may dial it, who answers, what carries it out, and who is connected. */
export function ServicePage({ data, known, state, id, host }: ServicePageProps) {
  const service = state.services.find((candidate) => candidate.id === id);
  const shown = state.hosts.find(({ name }) => name === host) ?? state.hosts[0];
  // With new counts there are new counters of its rules.
  const countedAt = shown === undefined ? undefined : known.counts.get(shown.name)?.takenAt;
  const view = useAnswer(
    async () => (shown === undefined ? undefined : data.service(shown.name, id)),
    [data, shown?.name, id, state.takenAt, countedAt],
  );
  const connections = useConnections(data, shown?.name, id);
  if (service === undefined || shown === undefined)
    return (
      <>
        <h1>
          <bdi>{id}</bdi>
        </h1>
        <p>There is no such service (any more).</p>
      </>
    );
  const place = state.hosts.indexOf(shown);
  const own = service.states[place];
  return (
    <>
      <h1>
        <bdi>{id}</bdi> {own !== undefined && <StateMark state={own} />}
      </h1>
      {own?.why !== undefined && (
        <p class="why">
          <bdi>{own.why}</bdi>
        </p>
      )}
      <p class="quiet">{service.ports.map(portWords).join(" · ")}</p>
      {state.hosts.length > 1 && <HostTabs state={state} service={service} shown={shown.name} />}
      {view.kind === "waiting" && <p role="status">Following its packets…</p>}
      {view.kind === "failed" && (
        <p class="why" role="alert">
          {view.why}
        </p>
      )}
      {view.kind === "answer" && view.value !== undefined && (
        <Details view={view.value} state={state} connections={connections} />
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
      const answer = document.hidden ? undefined : await data.connections(host, id).catch(() => undefined);
      if (!isOpen) return;
      if (answer !== undefined) setConnections(answer);
      timer = setTimeout(ask, CONNECTIONS_MS);
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
            {name} {own !== undefined && <StateMark state={own} />}
          </a>
        );
      })}
    </nav>
  );
}

const CLIENTS: readonly { readonly kind: ClientKind; readonly words: string }[] = [
  { kind: "pod", words: "a pod here" },
  { kind: "host", words: "this host" },
  { kind: "outside", words: "outside" },
];

function Details({
  view,
  state,
  connections,
}: {
  readonly view: ServiceView;
  readonly state: PageState;
  readonly connections: PageConnections | undefined;
}) {
  const [client, setClient] = useState<ClientKind>("pod");
  return (
    <>
      <section aria-labelledby="ways">
        <h2 id="ways">Who answers</h2>
        <fieldset class="choice">
          <legend>Dialled from</legend>
          {CLIENTS.map(({ kind, words }) => (
            <label key={kind}>
              <input type="radio" name="client" checked={client === kind} onChange={() => setClient(kind)} /> {words}
            </label>
          ))}
        </fieldset>
        <p class="quiet">Choose a line to follow a packet along it.</p>
        <ScrollBox label="Picture of the service">
          <ServiceDrawing view={view} client={client} connections={connections} />
        </ScrollBox>
      </section>
      <Connections connections={connections} state={state} />
      <Rules view={view} />
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
            <code>{socket(endpoint.address, endpoint.port)}</code> <bdi>{endpointName(endpoint)}</bdi>{" "}
            <span class="quiet">on {endpoint.host ?? "no host of the topology"}</span>{" "}
            <span class={`condition ${endpoint.condition}`}>{endpoint.condition}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Rules that are listed at once. */
const SHOWN_RULES = 60;

function Rules({ view: { rules, rulesNote } }: { readonly view: ServiceView }) {
  const [showsAll, setShowsAll] = useState(false);
  const counts = rules.some(({ packets }) => packets !== undefined);
  const shown = showsAll ? rules : rules.slice(0, SHOWN_RULES);
  return (
    <section aria-labelledby="rules">
      <h2 id="rules">{rules.length === 0 ? "Rules" : plural(rules.length, "rule")}</h2>
      {rulesNote !== undefined && <p class="quiet">{rulesNote}</p>}
      {rules.length > 0 && (
        <ScrollBox label="Rules">
          <table>
            <thead>
              <tr>
                <th scope="col">Where</th>
                <th scope="col">Rule</th>
                {counts && <th scope="col">Packets</th>}
                {counts && <th scope="col">Bytes</th>}
              </tr>
            </thead>
            <tbody>
              {shown.map((rule) => (
                <Rule key={`${rule.table} ${rule.chain} ${rule.number}`} rule={rule} counts={counts} />
              ))}
            </tbody>
          </table>
        </ScrollBox>
      )}
      {rules.length > shown.length && (
        <button type="button" class="link" onClick={() => setShowsAll(true)}>
          Show all {rules.length}
        </button>
      )}
    </section>
  );
}

function Rule({
  rule: { table, chain, number, rule, packets, bytes },
  counts,
}: {
  readonly rule: RuleView;
  readonly counts: boolean;
}) {
  return (
    <tr>
      <td class="quiet">
        <bdi>
          {table} {chain} {number}
        </bdi>
      </td>
      <td>
        <code>
          <bdi>{rule}</bdi>
        </code>
      </td>
      {counts && <td class="number">{packets?.toLocaleString("en-US") ?? ""}</td>}
      {counts && <td class="number">{bytes?.toLocaleString("en-US") ?? ""}</td>}
    </tr>
  );
}

function Connections({
  connections,
  state,
}: {
  readonly connections: PageConnections | undefined;
  readonly state: PageState;
}) {
  if (connections === undefined) return null;
  const all = connections.connections;
  const total = all.length + connections.untold;
  return (
    <section aria-labelledby="connected">
      <h2 id="connected">{total === 0 ? "Nobody is connected" : `${plural(total, "connection")} now`}</h2>
      {connections.note !== undefined && <p class="quiet">{connections.note}</p>}
      {all.length > 0 && (
        <ScrollBox label="Connections">
          <table>
            <thead>
              <tr>
                {["Client", "Dialled", "Endpoint", "State", "Age", "Bytes"].map((column) => (
                  <th scope="col" key={column}>
                    {column}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {all.map(({ client, frontend, endpoint, protocol, state: own, ageSeconds, bytes }) => (
                <tr key={`${protocol} ${client} ${frontend}`}>
                  <td>
                    <code>{client}</code>{" "}
                    <bdi class="quiet">{nameOfAddress(state, client.replace(/:\d+$/, "").replace(/[[\]]/g, ""))}</bdi>
                  </td>
                  <td>
                    <code>{frontend}</code>
                  </td>
                  <td>
                    <code>{endpoint}</code>
                  </td>
                  <td>{own ?? protocol}</td>
                  <td class="number">{ageSeconds === undefined ? "" : `${ageSeconds} s`}</td>
                  <td class="number">{bytes?.toLocaleString("en-US") ?? ""}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {connections.untold > 0 && <p class="quiet">and {connections.untold.toLocaleString("en-US")} more</p>}
        </ScrollBox>
      )}
    </section>
  );
}
