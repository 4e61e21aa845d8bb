import { serviceName } from "@svcproxy/host";
import type { ServicePortPlan } from "@svcproxy/topology";
import type { Cause, Diagnosis, OpenQuestion, Sufferer } from "./cause.ts";
import { checkAddresses } from "./checks/check-addresses.ts";
import { checkEndpoints } from "./checks/check-endpoints.ts";
import { checkIsolation } from "./checks/check-isolation.ts";
import { checkLayerTwo } from "./checks/check-layer-two.ts";
import { checkLeaving } from "./checks/check-leaving.ts";
import { checkMachine } from "./checks/check-machine.ts";
import { checkOwnListeners } from "./checks/check-own-listeners.ts";
import { checkPlan } from "./checks/check-plan.ts";
import { checkProxies } from "./checks/check-proxies.ts";
import { nestEffects } from "./nest-effects.ts";
import type { Observation, ObservedHost } from "./observation.ts";
import { probeAll } from "./probes/probe-all.ts";
import type { Prober } from "./probes/prober.ts";
import { causesOfStops } from "./walk/causes-of-stops.ts";
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
    const { asPod = false, probesUdp = false, lookAgain } = options;
    const probed = await probeAll({
      options: { prober, asPod, probesUdp, lookAgain, signal, onProgress },
      ...{ observation, ports, leaving, causes },
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
