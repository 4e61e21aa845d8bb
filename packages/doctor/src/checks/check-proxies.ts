import { serviceName } from "@svcproxy/host";
import { type Trace, type TracedBranch, type Tracer, traceInEachOrder } from "@svcproxy/rules";
import { type Family, InputError, type IpAddress, listNames, type ServicePortPlan } from "@svcproxy/topology";
import type { Cause } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";
import { clientsOf } from "../walk/clients.ts";
import type { Dialled } from "../walk/dialled.ts";
import { causeOf, type Finding } from "../walk/finding.ts";
import { endpointKey } from "../walk/read-trace.ts";
import { isOurProgram, type ProxyPart, proxyParts, writersOf } from "./proxy-parts.ts";

/**
 * Two service proxies that serve the same services on one host: whoever is asked first decides, and changes that the other makes are not seen.
 * It is told by where connections go, so tables and chains that take none of these services are no proxy.
 */
export function checkProxies(at: ObservedHost, ports: readonly ServicePortPlan[]): readonly Cause[] {
  const shared = ([4, 6] as const).flatMap((family) => sharedOf(at, { family, ports }));
  const byNames = Map.groupBy(shared, ({ ends }) => namesOf([...ends.keys()]).join(", "));
  return [...Array.from(byNames.values(), (ones) => sharedCause(at, ones)), ...mixedChains(at)];
}

/** A frontend that several take connections for. */
interface Shared {
  readonly dialled: Dialled;
  /** By part: where it sends connections; undefined for a program, of which that is not seen. */
  readonly ends: ReadonlyMap<ProxyPart, string | undefined>;
  /** Who is asked first; undefined where that is not known. */
  readonly winner: ProxyPart | undefined;
}

function sharedOf(
  at: ObservedHost,
  { family, ports }: { readonly family: Family; readonly ports: readonly ServicePortPlan[] },
): readonly Shared[] {
  const rules = at.rules(family);
  const parts = rules === undefined ? [] : proxyParts(at, rules);
  if (parts.length < 2) return [];
  return ports
    .filter((port) => port.family === family)
    .flatMap((port) => dialledOf(at, port))
    .flatMap((dialled): readonly Shared[] => {
      const ends = new Map<ProxyPart, string | undefined>();
      for (const part of parts) {
        const reached = part.tracer === undefined ? [] : endsOf(part.tracer, dialled);
        if (reached.length > 0) ends.set(part, listNames(reached));
        else if (part.tracer === undefined && isListened(at, dialled)) ends.set(part, undefined);
      }
      return ends.size < 2 ? [] : [{ dialled, ends, winner: winnerOf(dialled, [...ends.keys()]) }];
    });
}

function dialledOf(at: ObservedHost, port: ServicePortPlan): readonly Dialled[] {
  return port.frontends.flatMap((frontend): readonly Dialled[] => {
    const to = frontend.addresses.find((address) => address !== "::1" && !address.startsWith("127."));
    const client = clientsOf(frontend, port.family, at).find(({ wanted }) => wanted.kind === "forward");
    return to === undefined || client === undefined ? [] : [{ port, frontend, client, to }];
  });
}

/** The endpoints to which a part's rules alone translate a connection, sorted. */
function endsOf(tracer: Tracer, dialled: Dialled): readonly string[] {
  const ends = tracesOf(tracer, dialled).flatMap(({ branches }) => branches.flatMap(endsOfBranch));
  return [...new Set(ends)].sort();
}

function endsOfBranch(branch: TracedBranch): readonly string[] {
  if (branch.kind === "decided")
    return branch.ended.state.destinationNat?.isOwn === true ? [textOf(branch.outcome.destination)] : [];
  return branch.possible.flatMap(({ outcome: { verdict, destination } }) =>
    verdict === "accepted" ? [textOf(destination)] : [],
  );
}

function textOf({ address, ports }: Readonly<{ address: IpAddress; ports?: { readonly from: number } }>): string {
  return endpointKey(address, ports?.from);
}

function isListened({ snapshot }: ObservedHost, { frontend, to, port }: Dialled): boolean {
  return snapshot.sockets.some(
    ({ protocol, address, port: listened, holders }) =>
      protocol === port.port.protocol &&
      address === to &&
      listened === frontend.port &&
      holders.some(({ command }) => isOurProgram(command)),
  );
}

/** Once for each order of chains on which it hangs; none where no such client comes in. */
function tracesOf(tracer: Tracer, { client, frontend, port, to }: Dialled): readonly Trace[] {
  const request = { from: client.from, to, port: frontend.port, protocol: port.port.protocol };
  try {
    return traceInEachOrder(tracer, request).map(({ trace }) => trace);
  } catch (error) {
    if (error instanceof InputError) return [];
    throw error;
  }
}

/** Whose rules are asked first; of one priority that is not known. */
function winnerOf({ client }: Dialled, parts: readonly ProxyPart[]): ProxyPart | undefined {
  const hook = client.place === "host" ? "output" : "prerouting";
  const first = Math.min(...parts.map(({ priorityAt }) => priorityAt(hook) ?? Number.POSITIVE_INFINITY));
  const firsts = parts.filter(({ priorityAt }) => (priorityAt(hook) ?? Number.POSITIVE_INFINITY) === first);
  return firsts.length === 1 ? firsts[0] : undefined;
}

function namesOf(parts: readonly ProxyPart[]): readonly string[] {
  return [...new Set(parts.map(({ name }) => name))];
}

/** So many services, and frontends of which two proxies say otherwise, are named. */
const MOST_NAMED = 3;

function sharedCause(at: ObservedHost, shared: readonly Shared[]): Cause {
  const parts = shared.flatMap(({ ends }) => [...ends.keys()]);
  const names = namesOf(parts);
  const places = [...new Set(parts.map(({ place }) => place))];
  const winners = new Set(shared.map(({ winner }) => winner?.name));
  const [winner] = winners.size === 1 ? winners : [];
  const services = [...new Set(shared.map(({ dialled }) => serviceName(dialled.port)))];
  const differing = shared.filter(
    ({ ends }) => new Set([...ends.values()].filter((end) => end !== undefined)).size > 1,
  );
  const alive = kubeProxySign(at);
  const isSeen = at.snapshot.unread.every(({ part }) => part !== "processes" && part !== "sockets");
  return causeOf(
    {
      code: "TWO_PROXIES",
      severity: differing.length > 0 ? "error" : "warning",
      subject: `service proxies ${names.join(", ")}`,
      text: `${names.join(" and ")} ${names.length > 2 ? "all" : "both"} serve ${services.length > MOST_NAMED ? `${services.length} services` : listNames(services)} here: ${
        winner === undefined
          ? "which of them takes a connection is not known"
          : `connections go by ${winner}, and what ${names.length > 2 ? "the others do" : "the other does"} has no effect`
      }`,
      evidence: [
        `${places.join(" and ")} take connections to the same ${shared.length} frontends, ${shared.slice(0, 1).map(frontendOf).join()} among them`,
        ...differing.slice(0, MOST_NAMED).map(describeDifference),
        ...(alive === undefined ? [] : [alive]),
      ],
      suspect: "a service proxy that was here before, or rules that were loaded once and never taken away",
      ...mending({ places, names, isKubeProxyAlive: alive !== undefined || !isSeen }),
    },
    { host: at.name, sufferers: [] },
  );
}

function frontendOf({ dialled: { to, frontend } }: Shared): string {
  return endpointKey(to, frontend.port);
}

function describeDifference(shared: Shared): string {
  const told = [...shared.ends].flatMap(([{ name }, end]) => (end === undefined ? [] : [`${name} to ${end}`]));
  return `${frontendOf(shared)} is sent by ${told.join(", by ")}`;
}

/** kube-proxy's health and metrics. */
const KUBE_PROXY_PORTS: readonly number[] = [10249, 10256];

/** What shows that a kube-proxy runs here; undefined where nothing does. */
function kubeProxySign({ snapshot }: ObservedHost): string | undefined {
  const pid = snapshot.processes.find(({ command }) => command === "kube-proxy")?.pid;
  if (pid !== undefined) return `kube-proxy runs here, pid ${pid}`;
  const socket = snapshot.sockets.find(
    ({ protocol, port, holders }) =>
      protocol === "tcp" && KUBE_PROXY_PORTS.includes(port) && !holders.some(({ command }) => isOurProgram(command)),
  );
  return socket === undefined ? undefined : `port ${socket.port}, kube-proxy's own, is listened on`;
}

/** What of kube-proxy's rules is left behind goes by a command; which of two that run is to stay, its owner has to say. */
function mending({
  places,
  names,
  isKubeProxyAlive,
}: {
  readonly places: readonly string[];
  readonly names: readonly string[];
  readonly isKubeProxyAlive: boolean;
}): Pick<Finding, "remedy" | "hint"> {
  const isOurs = names.some((name) => name.startsWith("svcproxy"));
  const leftTables = places.filter((place) => /^table ip6? kube-proxy$/.test(place));
  if (isOurs && !isKubeProxyAlive && leftTables.length > 0 && names.length === 2)
    return {
      remedy: leftTables.map((place) => `nft delete ${place}`),
      hint: "No kube-proxy is seen here: its rules can go. To keep them instead: svcproxy cleanup",
    };
  const withoutUs = isOurs ? "; to keep the other one: stop svcproxy run, where it runs, and svcproxy cleanup" : "";
  const withoutKubeProxy = names.some((name) => name.includes("kube-proxy"))
    ? `take kube-proxy's pod from this node and its rules away: kube-proxy --cleanup${isOurs ? ", or svcproxy run kubernetes --replace kube-proxy" : ""}`
    : "take the chains away that nobody keeps: iptables-save | grep -v KUBE- | iptables-restore, by the tools of that variant";
  return { remedy: [], hint: `Keep one of them: ${withoutKubeProxy}${withoutUs}` };
}

/** The same chains of iptables, marked by both: they have the same names. */
function mixedChains(at: ObservedHost): readonly Cause[] {
  return ([4, 6] as const).flatMap((family) =>
    (at.rules(family)?.iptables ?? []).flatMap(({ variant = "legacy", rules }): readonly Cause[] => {
      const tables = rules.tables.filter(({ chains }) => writersOf(chains.map(({ name }) => name)).length > 1);
      if (tables.length === 0) return [];
      const tableNames = listNames(tables.map(({ name }) => name));
      const alive = kubeProxySign(at);
      return [
        causeOf(
          {
            code: "TWO_PROXIES",
            subject: `IPv${family} chains KUBE-… of iptables-${variant}`,
            text: `svcproxy and kube-proxy both write the chains KUBE-… of iptables-${variant} (IPv${family}): each undoes what the other has changed`,
            evidence: [
              `${tableNames} ${tables.length === 1 ? "has" : "have"} the marks of both, SVCPROXY-OWNS and KUBE-PROXY-CANARY`,
              ...(alive === undefined ? [] : [alive]),
            ],
            suspect: "a kube-proxy that was started, or came back, where svcproxy serves by iptables",
            remedy: [],
            hint: "Keep one of them: take kube-proxy's pod from this node and run svcproxy with --replace kube-proxy; or give the node back to it: svcproxy run kubernetes --give-back",
          },
          { host: at.name, sufferers: [] },
        ),
      ];
    }),
  );
}
