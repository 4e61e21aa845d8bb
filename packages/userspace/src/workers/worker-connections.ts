import { type Connection, type ConnectionQuestion, type Connections, isNamed } from "@svcproxy/host";
import { formatSocketAddress, type SocketAddress } from "@svcproxy/topology";
import type { EndpointState } from "../policy/endpoint-table.ts";
import type { WorkerFrontend } from "../policy/worker-frontend.ts";
import type { TcpConnection } from "../tcp/tcp-connection.ts";
import type { UdpSession } from "../udp/udp-session.ts";

/** What one worker has open of a service, as plain data: it crosses to the supervisor. */
export type WorkerConnections = Pick<Connections, "connections" | "total">;

/** The connections of a service among those of a worker: all are counted, as many as are wanted are told. */
export function connectionsOf(
  { tcp, udp }: { readonly tcp: Iterable<TcpConnection>; readonly udp: Iterable<UdpSession> },
  { service, limit }: ConnectionQuestion,
): WorkerConnections {
  const connections: Connection[] = [];
  let total = 0;
  const take = <T extends { readonly frontend: WorkerFrontend }>(all: Iterable<T>, tell: (one: T) => Connection) => {
    for (const one of all) {
      if (!isNamed(one.frontend.spec.service, service)) continue;
      total++;
      if (connections.length < limit) connections.push(tell(one));
    }
  };
  take(tcp, tellTcp);
  take(udp, tellUdp);
  return { connections, total };
}

export function joinConnections(
  parts: readonly WorkerConnections[],
  { limit }: Pick<ConnectionQuestion, "limit">,
): WorkerConnections {
  return {
    connections: parts.flatMap(({ connections }) => connections).slice(0, limit),
    total: parts.reduce((sum, { total }) => sum + total, 0),
  };
}

function tellTcp(connection: TcpConnection): Connection {
  const { frontend, endpoint, phase, relay, startedAtMs } = connection;
  return {
    ...placesOf(frontend, { client: connection.client(), endpoint }),
    state: phase,
    ageSeconds: ageOf(startedAtMs),
    bytesFromClient: relay?.bytesFromClient ?? 0,
    bytesToClient: relay?.bytesToClient ?? 0,
  };
}

function tellUdp(session: UdpSession): Connection {
  const { frontend, client, endpoint, answered, startedAtMs, bytesFromClient, bytesToClient } = session;
  return {
    ...placesOf(frontend, { client, endpoint }),
    state: answered ? "answered" : "unanswered",
    ageSeconds: ageOf(startedAtMs),
    ...{ bytesFromClient, bytesToClient },
  };
}

function placesOf(
  { spec: { service, portName, protocol, address, port } }: WorkerFrontend,
  { client, endpoint }: { readonly client: SocketAddress | undefined; readonly endpoint: EndpointState | undefined },
) {
  return {
    ...{ service, portName, protocol },
    client: client === undefined ? "" : formatSocketAddress(client),
    vip: formatSocketAddress({ address, port }),
    ...(endpoint === undefined ? {} : { endpoint: formatSocketAddress(endpoint.target) }),
  };
}

function ageOf(startedAtMs: number): number {
  return Math.max(0, Math.round((performance.now() - startedAtMs) / 1000));
}
