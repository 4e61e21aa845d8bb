import {
  cidrContains,
  type Frontend,
  familyOf,
  type HostPlan,
  type IpAddress,
  type ServicePortPlan,
} from "@svcproxy/topology";
import { address, WORLD } from "../differential/world-plan.ts";
import type { StickyProbe } from "./clients-stay.ts";
import { type KernelProbe, sentFrom } from "./kernel-fates.ts";

/** That none of three equal shares is seen happens once in ten thousand million times. */
const REPEATS = 60;

/** Dials a frontend of a port. */
interface Dialled {
  readonly port: ServicePortPlan;
  readonly frontend: Frontend;
  readonly to: IpAddress;
}

function dialledOf(plan: HostPlan): readonly Dialled[] {
  return plan.ports
    .filter(({ family }) => family === 4)
    .flatMap((port) =>
      port.frontends.flatMap((frontend) => frontend.addresses.map((to): Dialled => ({ port, frontend, to }))),
    )
    .filter(({ to }) => familyOf(to) === 4);
}

/** From pods, the host and outside to every frontend, to pods, to the host's own ports, and to its loopback. */
export function planProbes(plan: HostPlan): readonly KernelProbe[] {
  const { from } = WORLD[4];
  const senders = (["pod1", "pod2", "outside", "host"] as const).flatMap((side) => from[side].slice(0, 1).map(address));
  const dialled = dialledOf(plan);
  const unrelated = ["10.1.0.2", "10.1.0.3", "10.2.0.2", "192.168.7.6", "203.0.113.9"].flatMap((to) =>
    (["tcp", "udp"] as const).flatMap((protocol) => [22, 80].map((port) => ({ to: address(to), port, protocol }))),
  );
  const ofLoopback = dialled.filter(({ to }) => to.startsWith("127."));
  return [
    ...senders.flatMap((client) => [
      ...dialled.filter(({ to }) => to !== client && !to.startsWith("127.")).map((one) => frontendProbe(client, one)),
      ...unrelated
        .filter(({ to }) => to !== client)
        .map((target): KernelProbe => ({ sent: sentFrom({ ...target, from: client }), repeats: 1 })),
    ]),
    // What a neighbour must not reach, and what the host reaches there.
    ...senders
      .filter((client) => !from.host.includes(client))
      .map(
        (client): KernelProbe => ({
          sent: sentFrom({ from: client, to: LOOPBACK, protocol: "tcp", port: 22 }),
          repeats: 1,
        }),
      ),
    ...ofLoopback.map((one) => frontendProbe(LOOPBACK, one)),
  ];
}

const LOOPBACK = address("127.0.0.1");

/** Answers are promised to the host and its pods, and to anyone where a frontend is for anyone. */
function frontendProbe(client: IpAddress, { port, frontend, to }: Dialled): KernelProbe {
  const sent = sentFrom({ from: client, to, port: frontend.port, protocol: port.port.protocol });
  const endpoints = endpointsOf(frontend);
  const isAnswered = sent.side !== "outside" || frontend.kind !== "clusterIP";
  const isDrawn = endpoints.length > 1;
  if (port.affinity === undefined || !isDrawn) return { sent, repeats: isDrawn ? REPEATS : 1, isAnswered };
  const clients = frontend.sourceRanges.length > 0 ? [] : otherClients(client);
  return clients.length > 0
    ? { sent, repeats: REPEATS, clients }
    : { sent, repeats: 1, isAnswered, alike: new Set(endpoints) };
}

function endpointsOf({ clients }: Frontend): readonly IpAddress[] {
  return [
    ...new Set(
      Object.values(clients).flatMap((one) => (one.kind === "forward" ? one.endpoints.map((end) => end.address) : [])),
    ),
  ];
}

/** Further addresses behind a client's interface, each of which draws an endpoint of its own. */
function otherClients(client: IpAddress): readonly IpAddress[] {
  const block = client.startsWith("10.1.0.") ? "10.1.0." : client === "192.168.7.7" ? "203.0.113." : undefined;
  if (block === undefined || client === "10.1.0.3") return [];
  return Array.from({ length: REPEATS }, (_, at) => address(`${block}${at + 20}`));
}

/** Each frontend that remembers its clients, with clients that may dial it. */
export function stickyProbes(plan: HostPlan): readonly StickyProbe[] {
  return dialledOf(plan).flatMap(({ port, frontend, to }) => {
    if (port.affinity === undefined || endpointsOf(frontend).length < 2 || to.startsWith("127.")) return [];
    const named = ["10.1.0.2", "10.1.0.3", "192.168.7.7", "192.168.7.6"].map(address);
    const others = Array.from({ length: 12 }, (_, at) => address(`203.0.113.${at + 100}`));
    const clients = [...named, ...others].filter(
      (client) =>
        client !== to &&
        (frontend.sourceRanges.length === 0 || frontend.sourceRanges.some((range) => cidrContains(range, client))),
    );
    const target = { to, port: frontend.port, protocol: port.port.protocol };
    return [{ ...target, clients, timeoutSeconds: port.affinity.timeoutSeconds }];
  });
}
