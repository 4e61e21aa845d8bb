import type { Connection, Connections } from "@svcproxy/host";
import type { PageConnection, PageConnections, ShownService } from "@svcproxy/page";

/** Who is connected, as the page shows it. */
export function pageConnections(
  { host, id }: ShownService,
  { connections, total, unknown }: Connections,
): PageConnections {
  return {
    ...{ service: id, host, takenAt: new Date().toISOString() },
    connections: connections.map(pageConnection),
    untold: total - connections.length,
    ...(unknown.length === 0 ? {} : { note: unknown.map(({ because }) => because).join("; ") }),
  };
}

function pageConnection(connection: Connection): PageConnection {
  const { client, vip, endpoint = "nobody", protocol, state, ageSeconds, bytesFromClient, bytesToClient } = connection;
  const isCounted = bytesFromClient !== undefined || bytesToClient !== undefined;
  return {
    ...{ client, frontend: vip, endpoint, protocol, state },
    ...(ageSeconds === undefined ? {} : { ageSeconds }),
    ...(isCounted ? { bytes: (bytesFromClient ?? 0) + (bytesToClient ?? 0) } : {}),
  };
}
