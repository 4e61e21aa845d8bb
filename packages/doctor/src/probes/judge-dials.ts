import { traceToJson } from "@svcproxy/rules";
import { type Endpoint, formatSocketAddress, InputError } from "@svcproxy/topology";
import type { Cause, OpenQuestion, Sufferer } from "../cause.ts";
import { sufferersOf as sufferersOfPort } from "../checks/check-own-listeners.ts";
import { causeOfSilence } from "../checks/check-silence.ts";
import type { Observation, ObservedHost } from "../observation.ts";
import { causesOfStops } from "../walk/causes-of-stops.ts";
import { causeOf } from "../walk/finding.ts";
import { lastHopsTowards } from "../walk/last-hops.ts";
import { stopOfEnding } from "../walk/read-branch.ts";
import { sourceTowards } from "../walk/source-towards.ts";
import type { Leaving, Stop } from "../walk/stop.ts";
import { dialledWay, dropsMeanwhile, suspectsOf } from "./drops-meanwhile.ts";
import { portsUsedUp } from "./ports-used-up.ts";
import type { DialledEndpoint } from "./probe-endpoints.ts";
import { unfollowedRules } from "./unfollowed-rules.ts";

/** Whether a host answered a ping at its own address; undefined: it could not be asked. */
export interface AskedHost {
  readonly name: string;
  readonly address: string;
  readonly isThere: boolean | undefined;
}

/** What dials tell that was not known: of endpoints of which some cause is known already, nothing more is said. */
export function judgeDials(
  dialled: readonly DialledEndpoint[],
  {
    observation,
    leaving,
    known,
    changes,
    asked,
    after,
  }: {
    readonly observation: Observation;
    readonly leaving: readonly Leaving[];
    readonly asked: readonly AskedHost[];
    /** Endpoints (`address:port`) that a cause explains. */
    readonly known: ReadonlySet<string>;
    /** What the kernel counted meanwhile, a sentence each. */
    readonly changes: readonly string[];
    /** This host once they were over. */
    readonly after?: ObservedHost;
  },
): { readonly causes: readonly Cause[]; readonly open: readonly OpenQuestion[] } {
  const causes: Cause[] = [];
  const open: OpenQuestion[] = [];
  const stops: Stop[] = [];
  const usedUp = after === undefined ? undefined : portsUsedUp(observation.here.snapshot, after.snapshot);
  for (const { endpoint, result, by } of dialled) {
    if (result === "open" || known.has(formatSocketAddress(endpoint))) continue;
    const sufferers = sufferersOf(endpoint, { leaving, here: observation.here });
    const dropped = dropsMeanwhile(endpoint, { observation, leaving, after });
    const stop = directStop(endpoint, observation, sufferers);
    const way = dialledWay(endpoint, { leaving, here: observation.here });
    const later = way === undefined ? undefined : { ...way, at: after ?? observation.here };
    const silent = later === undefined || result === "refused" ? undefined : causeOfSilence(later);
    if (stop !== undefined) stops.push(...stop);
    else if (dropped !== undefined && result !== "refused")
      causes.push(causeOf(dropped, { host: observation.here.name, sufferers }));
    else if (silent !== undefined)
      causes.push(
        causeOf(silent, { host: observation.here.name, sufferers, endpoints: [formatSocketAddress(endpoint)] }),
      );
    else if (usedUp !== undefined && result !== "refused")
      causes.push(
        causeOf(usedUp, { host: observation.here.name, sufferers, endpoints: [formatSocketAddress(endpoint)] }),
      );
    else if (result === "refused" && listenerOf(after ?? observation.here, endpoint) !== undefined)
      open.push(refusedAllTheSame(endpoint, { at: after ?? observation.here, sufferers }));
    else if (result === "refused") causes.push(refused(endpoint, { observation, sufferers, by }));
    else open.push(unanswered(endpoint, { observation, leaving, sufferers, changes, asked, by }));
  }
  return { causes: [...causesOfStops(stops), ...causes], open };
}

function sufferersOf(
  endpoint: Endpoint,
  { leaving, here }: { readonly leaving: readonly Leaving[]; readonly here: ObservedHost },
): readonly Sufferer[] {
  const isIt = ({ address, port }: Endpoint) => address === endpoint.address && port === endpoint.port;
  const found = leaving.filter((way) => isIt(way.endpoint)).map(({ sufferer }) => sufferer);
  // One of this host's own, and one that is followed to nobody, leave by no device.
  return found.length > 0
    ? found
    : here.plan.ports.filter(({ reachableEndpoints }) => reachableEndpoints.some(isIt)).flatMap(sufferersOfPort);
}

/** What of this host's rules stops a connection that is not to a service at all. */
export function directStop(
  endpoint: Endpoint,
  { here }: Observation,
  sufferers: readonly Sufferer[],
): readonly Stop[] | undefined {
  const family = endpoint.address.includes(":") ? 6 : 4;
  const from = sourceTowards(here, endpoint.address);
  if (from === undefined) return undefined;
  try {
    const trace = here.tracer(family)?.trace({ from, to: endpoint.address, port: endpoint.port, protocol: "tcp" });
    const [branch] = trace?.branches ?? [];
    if (trace === undefined || branch?.kind !== "decided") return undefined;
    const { ending, state } = branch.ended;
    if (ending.kind !== "dropped" && ending.kind !== "refused") return undefined;
    const why = stopOfEnding({ ending, state, steps: traceToJson(trace).branches[0]?.steps ?? [] });
    const suffering = sufferers.length > 0 ? sufferers : [{ service: "", client: "host" as const, share: 1 }];
    return suffering.map((sufferer) => ({ at: here, family, isReply: false, sufferer, why }));
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

/** The pod in which a program listens where the endpoint is to be. */
function listenerOf(at: ObservedHost, { address, port }: Endpoint): number | undefined {
  const pod = at.podAt(address);
  return pod?.listeners.some((one) => one.port === port && (one.address === undefined || one.address === address))
    ? pod.pid
    : undefined;
}

/** Refused, and not because nobody listens: by what is in the pod itself. */
function refusedAllTheSame(
  endpoint: Endpoint,
  { at, sufferers }: { readonly at: ObservedHost; readonly sufferers: readonly Sufferer[] },
): OpenQuestion {
  const pid = listenerOf(at, endpoint);
  const name = formatSocketAddress(endpoint);
  return {
    subject: `endpoint ${name}`,
    text: `${name} refuses connections although a program listens there (pid ${pid} is in its network namespace): something in the pod refuses them`,
    hint: `Look at the pod's own rules: nsenter -t ${pid} -n nft list ruleset`,
    sufferers,
  };
}

function refused(
  endpoint: Endpoint,
  {
    observation,
    sufferers,
    by = "connection",
  }: {
    readonly observation: Observation;
    readonly sufferers: readonly Sufferer[];
    readonly by: DialledEndpoint["by"] | "connection";
  },
): Cause {
  const at = formatSocketAddress(endpoint);
  return causeOf(
    {
      code: "NOTHING_LISTENS",
      subject: `endpoint ${at}`,
      text: `${at}${endpoint.pod === undefined ? "" : ` (${endpoint.pod})`} refuses ${by}s: nothing listens there`,
      evidence: [`a ${by} to ${at} straight, past the service, was refused`],
      suspect: "the program there, or the topology's targetPort",
      remedy: [],
      hint: `Look on ${endpoint.host ?? "its host"} whether the program runs, and on which address and port it listens`,
    },
    { host: endpoint.host ?? observation.here.name, sufferers },
  );
}

function unanswered(
  endpoint: Endpoint,
  {
    observation: { here, topology, peers },
    leaving,
    sufferers,
    changes,
    asked,
    by,
  }: {
    readonly observation: Observation;
    readonly leaving: readonly Leaving[];
    readonly by: DialledEndpoint["by"];
    readonly sufferers: readonly Sufferer[];
    readonly changes: readonly string[];
    readonly asked: readonly AskedHost[];
  },
): OpenQuestion {
  const at = formatSocketAddress(endpoint);
  const way = dialledWay(endpoint, { leaving, here });
  const out = way === undefined ? "" : `it leaves ${way.interface} for ${way.nextHop}, and `;
  const suspects = [...(way === undefined ? [] : suspectsOf(way, { topology, here, peers })), ...unfollowedRules(here)];
  const hops = lastHopsTowards(here, {
    from: sourceTowards(here, endpoint.address),
    to: endpoint.address,
    port: endpoint.port,
  });
  const own = asked.find(({ name }) => name === endpoint.host);
  const ping =
    own?.isThere === undefined
      ? ""
      : `; ${own.name} itself ${own.isThere ? "answers a ping" : "answers no ping either"} at ${own.address}`;
  const pid = listenerOf(here, endpoint);
  const listens =
    pid === undefined ? "" : `, although a program listens there (pid ${pid} is in its network namespace)`;
  const isElsewhere = endpoint.host !== undefined && endpoint.host !== here.name;
  return {
    subject: `endpoint ${at}`,
    text: `${by === "ping" ? `A ping of ${endpoint.address}` : `A connection to ${at} straight`} gets no answer${listens}: ${out}nothing comes back${changes.length === 0 ? "" : ` (${changes.join("; ")})`}${suspects.length === 0 ? "" : `; what may drop it: ${suspects.join(", ")}`}${ping}`,
    ...(hops.length === 0 ? {} : { way: hops }),
    hint:
      pid !== undefined
        ? `Look at the pod's own rules, routes and neighbours: nsenter -t ${pid} -n nft list ruleset; nsenter -t ${pid} -n ip route; nsenter -t ${pid} -n ip neigh`
        : isElsewhere
          ? `On ${endpoint.host}: svcproxy host-state --snapshot ${endpoint.host}.json; then here: svcproxy doctor … --peer ${endpoint.host}.json`
          : "Look whether its pod runs, and has that address",
    sufferers,
  };
}
