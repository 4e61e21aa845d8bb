import { type HostSnapshot, serviceName } from "@svcproxy/host";
import { formatCidr, formatSocketAddress, type ServicePortPlan } from "@svcproxy/topology";
import type { Cause, Diagnosis, OpenQuestion, Sufferer } from "./cause.ts";
import { checkAddresses } from "./checks/check-addresses.ts";
import { checkDiscovery } from "./checks/check-discovery.ts";
import { checkEndpoints } from "./checks/check-endpoints.ts";
import { checkIsolation } from "./checks/check-isolation.ts";
import { checkLayerTwo } from "./checks/check-layer-two.ts";
import { checkLeaving } from "./checks/check-leaving.ts";
import { checkMachine } from "./checks/check-machine.ts";
import { checkOwnListeners } from "./checks/check-own-listeners.ts";
import { checkPlan } from "./checks/check-plan.ts";
import { checkProxies } from "./checks/check-proxies.ts";
import { causesOfSilence } from "./checks/check-silence.ts";
import { nestEffects } from "./nest-effects.ts";
import type { Observation, ObservedHost } from "./observation.ts";
import { type AskedHost, directStop, judgeDials } from "./probes/judge-dials.ts";
import { portsUsedUp } from "./probes/ports-used-up.ts";
import { type DialledEndpoint, pingSilentHosts, probeDatagrams, probeEndpoints } from "./probes/probe-endpoints.ts";
import { probeFrontends } from "./probes/probe-frontends.ts";
import { probeMtu } from "./probes/probe-mtu.ts";
import type { Prober } from "./probes/prober.ts";
import { causesOfStops } from "./walk/causes-of-stops.ts";
import { causeOf } from "./walk/finding.ts";
import type { Leaving } from "./walk/stop.ts";
import { walkPeers } from "./walk/walk-peers.ts";
import { walkServices } from "./walk/walk-services.ts";

export interface DiagnoseOptions {
  /** Which ports of the plan; undefined: all. */
  readonly isAsked?: (port: ServicePortPlan) => boolean;
  /** Undefined: nothing is sent. */
  readonly prober?: Prober;
  /** Whether services are dialled from within pods too. */
  readonly asPod?: boolean;
  /** Whether endpoints of UDP get a datagram each. */
  readonly probesUdp?: boolean;
  /** This host once more, when it has noticed which of these addresses answer ARP; undefined where it is only a snapshot. */
  readonly lookAgain?: (unanswered: readonly string[]) => Promise<ObservedHost>;
  /** What else is found on this host by who calls, told what was found so far. */
  readonly more?: (found: readonly Cause[]) => Promise<readonly Cause[]>;
  readonly signal: AbortSignal;
  readonly onProgress?: (what: string) => void;
}

/**
 * Why services are not reached: what the rules do with their packets, then where those go that leave, then who answers. Probes ask what
 * nothing else tells; without them, what only they could tell is left open.
 */
export async function diagnose(observation: Observation, options: DiagnoseOptions): Promise<Diagnosis> {
  const { here } = observation;
  const { isAsked, prober, signal, onProgress = () => {} } = options;
  const ports = isAsked === undefined ? here.plan.ports : here.plan.ports.filter(isAsked);
  onProgress(`following connections to ${ports.length} ports of services through the rules`);
  const walked = walkServices(here, ports);
  const beyond = walkPeers(walked.leaving, observation);
  const leaving = [...walked.leaving, ...beyond.arriving];
  const causes: Cause[] = [
    ...causesOfStops([...walked.stops, ...beyond.stops]),
    ...checkLeaving(walked.leaving, observation),
    ...checkLayerTwo(leaving, observation),
    ...checkAddresses(leaving, here),
    ...checkIsolation(walked.leaving),
    // Who listens is known once they are dialled; those of UDP are not.
    ...checkEndpoints(prober === undefined ? leaving : leaving.filter(({ protocol }) => protocol === "udp"), {}),
    ...checkPlan(ports, { at: here, isAsked: isAsked !== undefined }),
    ...checkMachine(here),
    ...checkProxies(here, ports),
    ...checkOwnListeners(here, ports),
  ];
  const open: OpenQuestion[] = [...walked.open, ...unreadParts(here)];
  let [dials, pings] = [0, 0];
  if (prober !== undefined) {
    const probed = await probe({
      observation,
      options: { ...options, prober, signal, onProgress },
      ports,
      leaving,
      causes,
    });
    causes.push(...probed.causes);
    open.push(...probed.open);
    [dials, pings] = [probed.dials, probed.pings];
  }
  causes.push(...((await options.more?.(causes)) ?? []));
  return {
    host: here.name,
    takenAt: here.snapshot.takenAt,
    causes: nestEffects(joinSame(causes)).toSorted(byWeight),
    open: joinQuestions(open),
    looked: { services: new Set(ports.map(serviceName)).size, ways: walked.ways, dials, pings },
  };
}

interface Probing {
  readonly observation: Observation;
  readonly options: DiagnoseOptions & Required<Pick<DiagnoseOptions, "prober" | "onProgress">>;
  readonly ports: readonly ServicePortPlan[];
  readonly leaving: readonly Leaving[];
  readonly causes: readonly Cause[];
}

async function probe({ observation, options, ports, leaving, causes }: Probing) {
  const { prober, signal, onProgress, lookAgain } = options;
  const { here } = observation;
  const endpoints = ports
    .filter(({ port }) => port.protocol === "tcp")
    .flatMap(({ reachableEndpoints }) => reachableEndpoints);
  const dialled = await probeEndpoints(endpoints, {
    prober,
    signal,
    onProgress: ({ done, of, waitingFor }) =>
      onProgress(
        `dialled ${done} of ${of} endpoints${waitingFor === undefined ? "" : `; ${waitingFor} has not answered yet`}`,
      ),
  });
  const datagrams = options.probesUdp === true ? await probeDatagrams(ports, prober) : [];
  const known = explained(causes, { here, leaving });
  const pinged = await pingSilentHosts(ports, { dialled: [...dialled, ...datagrams], prober });
  const failed = [...dialled, ...datagrams, ...pinged.silent].filter(
    ({ endpoint, result }) => result !== "open" && !known.has(formatSocketAddress(endpoint)),
  );
  const asked = await askHosts(failed, { observation, prober });
  const after =
    failed.length === 0
      ? undefined
      : await lookAgain?.([
          ...failed.flatMap(({ endpoint, result }) =>
            result !== "refused" && endpoint.host === here.name ? [endpoint.address] : [],
          ),
          ...asked.filter(({ isThere }) => isThere === false).map(({ address }) => address),
        ]);
  // Only now does the kernel know who does not answer ARP, and whose queue is full.
  const isFailed = new Set(failed.map(({ endpoint }) => formatSocketAddress(endpoint)));
  // What a rule of this host stops is not asked for further on.
  const isStopped = new Set(
    failed
      .filter(({ endpoint }) => directStop(endpoint, observation, []) !== undefined)
      .map(({ endpoint }) => formatSocketAddress(endpoint)),
  );
  const waysNow = leaving
    .filter(({ at, endpoint }) => at === here && isFailed.has(formatSocketAddress(endpoint)))
    .filter(({ endpoint }) => !isStopped.has(formatSocketAddress(endpoint)))
    .map((way) => ({ ...way, at: after ?? here }));
  const refused = new Set(
    failed.flatMap(({ endpoint, result }) => (result === "refused" ? [formatSocketAddress(endpoint)] : [])),
  );
  const unasked = checkDiscovery(waysNow);
  const isUnasked = new Set([...refused, ...unasked.flatMap(({ endpoints = [] }) => endpoints)]);
  const blocked = [
    ...checkLayerTwo(waysNow, observation),
    ...unasked,
    ...causesOfSilence(
      waysNow.filter(({ endpoint }) => !isUnasked.has(formatSocketAddress(endpoint))),
      observation.peers,
    ),
  ];
  const isBlocked = new Set(blocked.flatMap(({ endpoints = [] }) => endpoints));
  const seenNow = [
    ...blocked,
    ...checkEndpoints(
      waysNow.filter(({ endpoint }) => !isBlocked.has(formatSocketAddress(endpoint))),
      { before: here },
    ),
    ...Array.from(observation.peers.values()).flatMap((peer) =>
      checkEndpoints(
        leaving.filter(({ at, endpoint }) => at === peer && isFailed.has(formatSocketAddress(endpoint))),
        { before: peer },
      ),
    ),
  ];
  const judged = judgeDials(failed, {
    observation,
    leaving,
    known: explained([...causes, ...seenNow], { here, leaving }),
    changes: after === undefined ? [] : countedMeanwhile(here.snapshot, after.snapshot),
    asked,
    ...(after === undefined ? {} : { after }),
  });
  const open = new Set(openEndpoints(dialled));
  const mtu = await probeMtu(
    leaving.filter(({ endpoint, at }) => at === here && open.has(formatSocketAddress(endpoint))),
    { prober },
  );
  const found = [...seenNow, ...judged.causes, ...mtu.causes];
  const suffering = new Set(
    [...causes, ...found, ...judged.open].flatMap(({ sufferers }) => sufferers.map(({ service }) => service)),
  );
  onProgress("dialling services at their own addresses");
  const frontends = await probeFrontends(ports, {
    ...{ here, prober, asPod: options.asPod === true, known: suffering },
  });
  // What was dropped when services were dialled is counted after all other looks.
  const last = frontends.open.length === 0 || usedUpBefore(found) ? undefined : await lookAgain?.([]);
  const usedUp = last === undefined ? undefined : portsUsedUp((after ?? here).snapshot, last.snapshot);
  const sufferers = frontends.open.flatMap((question) => question.sufferers);
  return {
    causes: [...found, ...(usedUp === undefined ? [] : [causeOf(usedUp, { host: here.name, sufferers })])],
    open: [...judged.open, ...(usedUp === undefined ? frontends.open : [])],
    dials: dialled.length + datagrams.length + frontends.dials,
    pings: mtu.pings + asked.length + pinged.asked,
  };
}

function usedUpBefore(causes: readonly Cause[]): boolean {
  return causes.some(({ code }) => code === "SOURCE_PORTS_USED_UP");
}

/** So many hosts are asked whether they are there at all. */
const MOST_HOSTS = 8;
const ASKED_BYTES = 100;

/** Whether the hosts of endpoints that gave no answer answer a ping at their own addresses. */
async function askHosts(
  failed: readonly DialledEndpoint[],
  { observation: { here }, prober }: { readonly observation: Observation; readonly prober: Prober },
): Promise<readonly AskedHost[]> {
  const names = new Set(failed.filter(({ result }) => result !== "refused").map(({ endpoint }) => endpoint.host));
  const hosts = here.plan.hosts
    .filter(({ name }) => name !== here.name && names.has(name))
    .flatMap(({ name, addresses }) => addresses.slice(0, 1).map((address) => ({ name, address })))
    .slice(0, MOST_HOSTS);
  return Promise.all(hosts.map(async (host) => ({ ...host, isThere: await prober.ping(host.address, ASKED_BYTES) })));
}

function openEndpoints(dialled: readonly DialledEndpoint[]): readonly string[] {
  return dialled.flatMap(({ endpoint, result }) => (result === "open" ? [formatSocketAddress(endpoint)] : []));
}

/** Endpoints of which some cause says why they are not reached. */
function explained(
  causes: readonly Cause[],
  { here, leaving }: { readonly here: ObservedHost; readonly leaving: readonly Leaving[] },
): ReadonlySet<string> {
  const all = [
    ...leaving.map(({ endpoint }) => endpoint),
    ...here.plan.ports.flatMap(({ reachableEndpoints }) => reachableEndpoints),
  ];
  const ownRoutes = new Set(here.plan.host.podCIDRs.map((block) => `route to ${formatCidr(block)}`));
  const found = new Set<string>();
  for (const { code, host, subject, endpoints } of causes) {
    for (const endpoint of endpoints ?? []) found.add(endpoint);
    const single = /^endpoint (.+)$/.exec(subject)?.[1];
    if (single !== undefined) found.add(single);
    // What is wrong on another host keeps its endpoints from everybody; what lies between hosts, those of all others, where it does not say which.
    const isBetween = PATH_CODES.has(code) && (endpoints ?? []).length === 0 && !ownRoutes.has(subject);
    for (const endpoint of all)
      if (endpoint.host !== here.name && (host === here.name ? isBetween : endpoint.host === host))
        found.add(formatSocketAddress(endpoint));
  }
  return found;
}

/** Causes that lie between hosts. */
const PATH_CODES: ReadonlySet<string> = new Set([
  ...["ROUTE_MISSING", "LINK_DOWN", "NEIGHBOUR_MISSING", "TUNNEL_ENTRY_MISSING", "TUNNEL_ADDRESS_MOVED"],
  ...["TUNNEL_FILTERED", "TUNNEL_DIFFERS", "TUNNEL_SOURCE_MISSING", "REVERSE_PATH_FILTERED", "HOST_ADDRESS_MISSING"],
]);

const TELLING = [
  ...["IpInAddrErrors", "IpOutNoRoutes", "IpInDiscards", "IcmpOutDestUnreachs", "IcmpInDestUnreachs"],
  ...["TcpExtIPReversePathFilter", "TcpExtListenOverflows", "TcpExtTCPSynRetrans"],
];

/** What the kernel counted between two looks. */
function countedMeanwhile(before: HostSnapshot, after: HostSnapshot): readonly string[] {
  const counters = TELLING.flatMap((name) => {
    const grown = (after.counters[name] ?? 0) - (before.counters[name] ?? 0);
    return grown > 0 ? [`${name} +${grown}`] : [];
  });
  const links = after.links
    .filter(({ kind }) => kind === "vxlan")
    .flatMap((link) => {
      const old = before.links.find(({ name }) => name === link.name);
      const grown = (side: "sent" | "received", what: string) => (link[side][what] ?? 0) - (old?.[side][what] ?? 0);
      const [sent, received, dropped] = [
        grown("sent", "packets"),
        grown("received", "packets"),
        grown("sent", "dropped"),
      ];
      return sent + dropped > 0 ? [`${link.name} sent ${sent}, received ${received}, dropped ${dropped}`] : [];
    });
  const failed = ["insert_failed", "drop"].flatMap((name) => {
    const grown = (after.conntrack.statistics[name] ?? 0) - (before.conntrack.statistics[name] ?? 0);
    return grown > 0 ? [`${name} of connection tracking +${grown}`] : [];
  });
  return [...counters, ...failed, ...links];
}

/** What this user may not look at. */
function unreadParts({ snapshot }: ObservedHost): readonly OpenQuestion[] {
  return snapshot.unread
    .filter(({ part }) => part === "rules" || part === "sockets" || part === "link")
    .map(({ part, because }) => ({
      subject: part,
      text: `${part} could not be looked at: ${because}`,
      hint: /root|CAP_NET_ADMIN/.test(because) ? "Try it with sudo" : "",
      sufferers: [],
    }))
    .map(({ hint, ...question }) => (hint === "" ? question : { ...question, hint }));
}

/** Each cause once, whoever found it. */
function joinSame(causes: readonly Cause[]): readonly Cause[] {
  const found = new Map<string, Cause>();
  for (const cause of causes) {
    const key = `${cause.host} ${cause.code} ${cause.subject}`;
    const known = found.get(key);
    const endpoints = [...new Set([...(known?.endpoints ?? []), ...(cause.endpoints ?? [])])];
    const sufferers = [...(known?.sufferers ?? []), ...cause.sufferers];
    found.set(key, { ...(known ?? cause), sufferers, ...(endpoints.length === 0 ? {} : { endpoints }) });
  }
  return [...found.values()];
}

function joinQuestions(open: readonly OpenQuestion[]): readonly OpenQuestion[] {
  const found = new Map<string, OpenQuestion>();
  for (const question of open) {
    const known = found.get(question.text);
    found.set(
      question.text,
      known === undefined ? question : { ...known, sufferers: [...known.sufferers, ...question.sufferers] },
    );
  }
  return [...found.values()];
}

function byWeight(a: Cause, b: Cause): number {
  const rank = ({ severity }: Cause) => (severity === "error" ? 0 : 1);
  return rank(a) - rank(b) || weight(b.sufferers) - weight(a.sufferers);
}

function weight(sufferers: readonly Sufferer[]): number {
  return sufferers.reduce((sum, { share }) => sum + share, 0);
}
