import { formatSocketAddress, type ServicePortPlan } from "@svcproxy/topology";
import type { Cause, OpenQuestion } from "../cause.ts";
import { checkDiscovery } from "../checks/check-discovery.ts";
import { checkEndpoints } from "../checks/check-endpoints.ts";
import { checkLayerTwo } from "../checks/check-layer-two.ts";
import { causesOfSilence } from "../checks/check-silence.ts";
import { explainedEndpoints } from "../explained-endpoints.ts";
import type { Observation, ObservedHost } from "../observation.ts";
import { causeOf } from "../walk/finding.ts";
import type { Leaving } from "../walk/stop.ts";
import { countedMeanwhile } from "./counted-meanwhile.ts";
import { type AskedHost, directStop, judgeDials } from "./judge-dials.ts";
import { portsUsedUp } from "./ports-used-up.ts";
import { type DialledEndpoint, pingSilentHosts, probeDatagrams, probeEndpoints } from "./probe-endpoints.ts";
import { probeFrontends } from "./probe-frontends.ts";
import { probeMtu } from "./probe-mtu.ts";
import type { Prober } from "./prober.ts";

export interface ProbeOptions {
  readonly prober: Prober;
  /** Whether services are dialled from within pods too. */
  readonly asPod: boolean;
  /** Whether endpoints of UDP get a datagram each. */
  readonly probesUdp: boolean;
  /** This host once more, when it has noticed which of these addresses answer ARP; undefined where it is only a snapshot. */
  readonly lookAgain: ((unanswered: readonly string[]) => Promise<ObservedHost>) | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (what: string) => void;
}

/** What is known before anything is sent. */
export interface Probing {
  readonly observation: Observation;
  readonly options: ProbeOptions;
  readonly ports: readonly ServicePortPlan[];
  readonly leaving: readonly Leaving[];
  readonly causes: readonly Cause[];
}

/** What probes found, and how many there were. */
export interface Probed {
  readonly causes: readonly Cause[];
  readonly open: readonly OpenQuestion[];
  readonly dials: number;
  readonly pings: number;
}

/**
 * Asks endpoints, then the hosts of those that gave no answer, then services at their own addresses, and says what that tells beside what is known.
 */
export async function probeAll(probing: Probing): Promise<Probed> {
  const { observation, options, ports, leaving, causes } = probing;
  const { here } = observation;
  const { prober, onProgress } = options;
  const dials = await dialAll(probing);
  const after = await lookAfterDials(dials, probing);
  const seenNow = causesOfFailures(dials.failed, { observation, leaving, after });
  const judged = judgeDials(dials.failed, {
    observation,
    leaving,
    known: explainedEndpoints([...causes, ...seenNow], { here, leaving }),
    changes: after === undefined ? [] : countedMeanwhile(here.snapshot, after.snapshot),
    asked: dials.asked,
    ...(after === undefined ? {} : { after }),
  });
  const mtu = await probeMtu(
    leaving.filter(({ endpoint, at }) => at === here && dials.open.has(formatSocketAddress(endpoint))),
    { prober },
  );
  const found = [...seenNow, ...judged.causes, ...mtu.causes];
  const suffering = new Set(
    [...causes, ...found, ...judged.open].flatMap(({ sufferers }) => sufferers.map(({ service }) => service)),
  );
  onProgress("dialling services at their own addresses");
  const frontends = await probeFrontends(ports, { ...{ here, prober, asPod: options.asPod, known: suffering } });
  const usedUp = await portsUsedUpMeanwhile(frontends.open, { probing, found, before: after ?? here });
  return {
    causes: [...found, ...usedUp],
    open: [...judged.open, ...(usedUp.length === 0 ? frontends.open : [])],
    dials: dials.count + frontends.dials,
    pings: mtu.pings + dials.pings,
  };
}

interface Dials {
  /** Endpoints (`address:port`) that take connections. */
  readonly open: ReadonlySet<string>;
  /** Those that are not reached although no cause says why. */
  readonly failed: readonly DialledEndpoint[];
  /** The hosts of those that gave no answer. */
  readonly asked: readonly AskedHost[];
  readonly count: number;
  readonly pings: number;
}

async function dialAll({ observation, options, ports, leaving, causes }: Probing): Promise<Dials> {
  const { prober, signal, onProgress, probesUdp } = options;
  const endpoints = ports
    .filter(({ port }) => port.protocol === "tcp")
    .flatMap(({ reachableEndpoints }) => reachableEndpoints);
  const connections = await probeEndpoints(endpoints, {
    prober,
    signal,
    onProgress: ({ done, of, waitingFor }) =>
      onProgress(
        `dialled ${done} of ${of} endpoints${waitingFor === undefined ? "" : `; ${waitingFor} has not answered yet`}`,
      ),
  });
  const dialled = [...connections, ...(probesUdp ? await probeDatagrams(ports, prober) : [])];
  const known = explainedEndpoints(causes, { here: observation.here, leaving });
  const pinged = await pingSilentHosts(ports, { dialled, prober });
  const failed = [...dialled, ...pinged.silent].filter(
    ({ endpoint, result }) => result !== "open" && !known.has(formatSocketAddress(endpoint)),
  );
  const asked = await askHosts(failed, { observation, prober });
  return {
    open: new Set(
      connections.flatMap(({ endpoint, result }) => (result === "open" ? [formatSocketAddress(endpoint)] : [])),
    ),
    ...{ failed, asked },
    count: dialled.length,
    pings: asked.length + pinged.asked,
  };
}

/** Only after the dials does the kernel know who does not answer ARP, and whose queue is full. Undefined: nothing has to be looked at again. */
async function lookAfterDials(
  { failed, asked }: Dials,
  { observation: { here }, options: { lookAgain } }: Probing,
): Promise<ObservedHost | undefined> {
  if (failed.length === 0) return undefined;
  const silentHere = failed.flatMap(({ endpoint, result }) =>
    result !== "refused" && endpoint.host === here.name ? [endpoint.address] : [],
  );
  const absentHosts = asked.filter(({ isThere }) => isThere === false).map(({ address }) => address);
  return lookAgain?.([...silentHere, ...absentHosts]);
}

/** What this host and its peers show of the ways to endpoints that are not reached: below IP, of neighbours, of silence, of the endpoint itself. */
function causesOfFailures(
  failed: readonly DialledEndpoint[],
  {
    observation,
    leaving,
    after,
  }: {
    readonly observation: Observation;
    readonly leaving: readonly Leaving[];
    readonly after: ObservedHost | undefined;
  },
): readonly Cause[] {
  const { here, peers } = observation;
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
  const refused = failed.flatMap(({ endpoint, result }) =>
    result === "refused" ? [formatSocketAddress(endpoint)] : [],
  );
  const undiscovered = checkDiscovery(waysNow);
  const isExplained = new Set([...refused, ...undiscovered.flatMap(({ endpoints = [] }) => endpoints)]);
  const blocked = [
    ...checkLayerTwo(waysNow, observation),
    ...undiscovered,
    ...causesOfSilence(
      waysNow.filter(({ endpoint }) => !isExplained.has(formatSocketAddress(endpoint))),
      peers,
    ),
  ];
  const isBlocked = new Set(blocked.flatMap(({ endpoints = [] }) => endpoints));
  return [
    ...blocked,
    ...checkEndpoints(
      waysNow.filter(({ endpoint }) => !isBlocked.has(formatSocketAddress(endpoint))),
      { before: here },
    ),
    ...Array.from(peers.values()).flatMap((peer) =>
      checkEndpoints(
        leaving.filter(({ at, endpoint }) => at === peer && isFailed.has(formatSocketAddress(endpoint))),
        { before: peer },
      ),
    ),
  ];
}

/** Whether source ports ran out while services were dialled, where that left a question open; counted after all other looks. */
async function portsUsedUpMeanwhile(
  open: readonly OpenQuestion[],
  {
    probing: { observation, options },
    found,
    before,
  }: { readonly probing: Probing; readonly found: readonly Cause[]; readonly before: ObservedHost },
): Promise<readonly Cause[]> {
  if (open.length === 0 || found.some(({ code }) => code === "SOURCE_PORTS_USED_UP")) return [];
  const last = await options.lookAgain?.([]);
  const finding = last === undefined ? undefined : portsUsedUp(before.snapshot, last.snapshot);
  const sufferers = open.flatMap((question) => question.sufferers);
  return finding === undefined ? [] : [causeOf(finding, { host: observation.here.name, sufferers })];
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
