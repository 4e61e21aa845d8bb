import { performance } from "node:perf_hooks";
import type { SocketAddress } from "@svcproxy/topology";
import type { AccessRecord } from "../access-record.ts";
import type { WorkerFrontend } from "../policy/worker-frontend.ts";
import type { TcpConnection } from "../tcp/tcp-connection.ts";
import type { UdpSession } from "../udp/udp-session.ts";
import { terminationOf } from "./termination.ts";

/** What there is to say of a TCP connection that has ended. */
export function tcpRecord(connection: TcpConnection): AccessRecord {
  const { clientAddress, frontend, endpoint, dialMs, reason, relay } = connection;
  return {
    protocol: "tcp",
    ...clientFields(clientAddress),
    ...frontendFields(frontend),
    ...(endpoint === undefined ? {} : { endpoint: endpoint.target.key }),
    attempts: connection.attempts,
    ...timeFields(connection.startedAtMs),
    ...(dialMs < 0 ? {} : { dialMs }),
    bytesFromClient: relay?.bytesFromClient ?? 0,
    bytesToClient: relay?.bytesToClient ?? 0,
    reason,
    termination: terminationOf(reason, {
      opened: relay !== undefined,
      halfClosed: relay !== undefined && (relay.clientEnded || relay.endpointEnded),
    }),
  };
}

/** What there is to say of a UDP session that has ended. */
export function udpRecord(session: UdpSession): AccessRecord {
  const { client, frontend, endpoint, reason } = session;
  return {
    protocol: "udp",
    ...clientFields(client),
    ...frontendFields(frontend),
    ...(endpoint === undefined ? {} : { endpoint: endpoint.target.key }),
    attempts: session.attempts,
    ...timeFields(session.startedAtMs),
    bytesFromClient: session.bytesFromClient,
    bytesToClient: session.bytesToClient,
    reason,
    termination: terminationOf(reason, { opened: session.answered, halfClosed: false }),
  };
}

function clientFields(client: SocketAddress | undefined): Pick<AccessRecord, "client" | "clientPort"> {
  return client === undefined ? { client: "", clientPort: 0 } : { client: client.address, clientPort: client.port };
}

function frontendFields({ spec }: WorkerFrontend): Pick<AccessRecord, "frontend" | "service" | "portName"> {
  return { frontend: spec.key, service: spec.service, portName: spec.portName };
}

function timeFields(startedAtMs: number): Pick<AccessRecord, "startedAtMs" | "durationMs"> {
  return { startedAtMs: performance.timeOrigin + startedAtMs, durationMs: performance.now() - startedAtMs };
}
