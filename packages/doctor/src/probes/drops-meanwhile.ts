import type { Endpoint } from "@svcproxy/topology";
import { crossingsOf, judgeCrossing, layerFinding, portOf } from "../checks/check-layer-two.ts";
import type { Observation, ObservedHost } from "../observation.ts";
import type { Finding } from "../walk/finding.ts";
import type { Leaving } from "../walk/stop.ts";

/** What counted drops on the way to an endpoint while it was dialled: a rule below IP, a queue of a device, or the device. */
export function dropsMeanwhile(
  endpoint: Endpoint,
  {
    observation,
    leaving,
    after,
  }: {
    readonly observation: Observation;
    readonly leaving: readonly Leaving[];
    readonly after: ObservedHost | undefined;
  },
): Finding | undefined {
  const { here } = observation;
  const way = dialledWay(endpoint, { leaving, here });
  if (way === undefined || after === undefined) return undefined;
  return ruleThatCounted(way, { observation, after }) ?? deviceThatDropped(way, { here, after });
}

/** The way to an endpoint that this host's own dial takes; another one where none of its own is known. */
export function dialledWay(
  endpoint: Endpoint,
  { leaving, here }: { readonly leaving: readonly Leaving[]; readonly here: ObservedHost },
): Leaving | undefined {
  const ways = leaving.filter((one) => one.endpoint.address === endpoint.address && one.at === here);
  return ways.find(({ sufferer }) => sufferer.client === "host") ?? ways[0];
}

/** A rule that may drop it, and has counted more than before. */
function ruleThatCounted(
  way: Leaving,
  { observation, after }: { readonly observation: Observation; readonly after: ObservedHost },
): Finding | undefined {
  const later = crossingsOf({ ...way, at: after }, observation);
  for (const [index, crossing] of crossingsOf(way, observation).entries()) {
    const [before, now] = [judgeCrossing(crossing), later[index]];
    if (before.kind === "passes" || now === undefined) continue;
    const verdict = judgeCrossing(now);
    if (verdict.kind === "passes" || before.rule?.packets === undefined) continue;
    const grown = (verdict.rule?.packets ?? 0) - before.rule.packets;
    if (grown <= 0) continue;
    const finding = layerFinding(verdict, crossing.what);
    return {
      ...finding,
      evidence: [...finding.evidence, `${grown} of them while ${way.endpoint.address} was dialled`],
    };
  }
  return undefined;
}

function deviceThatDropped(
  way: Leaving,
  { here, after }: { readonly here: ObservedHost; readonly after: ObservedHost },
): Finding | undefined {
  for (const device of devicesOf(way)) {
    const queue = after.snapshot.queues.find(
      (one) => one.device === device && one.dropped > droppedBefore(here, device, one.kind),
    );
    if (queue !== undefined)
      return dropsFinding({
        ...{ device, what: `the queue ${queue.kind} of ${device}` },
        evidence: `tc -s qdisc: ${queue.kind} on ${device} dropped ${queue.dropped - droppedBefore(here, device, queue.kind)} packets while ${way.endpoint.address} was dialled`,
        remedy: queue.kind === "ingress" ? [] : [`tc qdisc del dev ${device} root`],
      });
    const grown = sentDropped(after, device) - sentDropped(here, device);
    if (grown > 0)
      return dropsFinding({
        ...{ device, what: device, remedy: [] },
        evidence: `ip -s link: ${device} dropped ${grown} packets that it was to send while ${way.endpoint.address} was dialled`,
      });
  }
  return undefined;
}

function dropsFinding({
  device,
  what,
  evidence,
  remedy,
}: {
  readonly device: string;
  readonly what: string;
  readonly evidence: string;
  readonly remedy: readonly string[];
}): Finding {
  return {
    code: "LINK_DROPS",
    subject: `link ${device}`,
    text: `${what[0]?.toUpperCase() ?? ""}${what.slice(1)} drops packets to endpoints`,
    evidence: [evidence],
    suspect: "somebody who limits or shapes its traffic, or its driver",
    remedy,
    hint: `Look at it: tc -s qdisc show dev ${device}; ip -s -s link show ${device}`,
  };
}

function droppedBefore({ snapshot }: ObservedHost, device: string, kind: string): number {
  return snapshot.queues.find((one) => one.device === device && one.kind === kind)?.dropped ?? 0;
}

function sentDropped({ snapshot }: ObservedHost, device: string): number {
  return snapshot.links.find(({ name }) => name === device)?.sent["dropped"] ?? 0;
}

/** Devices of this host by which it leaves: the innermost last, because an outer one that drops is counted by inner ones too. */
function devicesOf(way: Leaving): readonly string[] {
  const { at, interface: out, nextHop } = way;
  const port = portOf(at, { bridge: out, address: nextHop });
  const [peer] = at.plan.hosts.find(({ name }) => name === way.endpoint.host)?.addresses ?? [];
  const answer =
    peer === undefined || way.endpoint.host === at.name
      ? undefined
      : at.router.lookup({ destination: peer, mark: 0, inInterface: "lo" });
  const underlay = answer?.kind === "found" ? answer.route.interface : undefined;
  return [...new Set([underlay, port, out].filter((name) => name !== undefined))];
}

/** Rules below IP that may drop what goes there, and do not count. */
export function suspectsOf(way: Leaving, observation: Observation): readonly string[] {
  const found = crossingsOf(way, observation).flatMap((crossing) => {
    const verdict = judgeCrossing(crossing);
    return verdict.kind === "passes" ? [] : [layerFinding(verdict, crossing.what)];
  });
  return [...new Set(found.map(({ subject, evidence }) => `${subject} (${evidence[0] ?? ""})`))];
}
