import type { Connection, Connections } from "@svcproxy/host";
import type { LiveConnections, PageConnection, PageConnections, ShownService } from "@svcproxy/page";

/** Connections that are counted for each way; so many are asked for. */
export const COUNTED_CONNECTIONS = 10_000;
/** Those of them that the page lists. */
const LISTED = 200;

/** Who is connected, as the page shows it. */
export function pageConnections(
  { host, id }: ShownService,
  { connections, total, unknown }: Connections,
): PageConnections {
  return {
    ...{ service: id, host, takenAt: new Date().toISOString() },
    connections: connections.slice(0, LISTED).map(pageConnection),
    untold: total - Math.min(connections.length, LISTED),
    live: liveOf(connections),
    ...noteOf(unknown, total - connections.length),
  };
}

function noteOf(unknown: Connections["unknown"], uncounted: number): Pick<PageConnections, "note"> {
  const sentences = unknown.map(({ because }) => because);
  if (uncounted > 0) sentences.push(`The picture counts ${COUNTED_CONNECTIONS} of them`);
  return sentences.length === 0 ? {} : { note: sentences.join("; ") };
}

function liveOf(connections: readonly Connection[]): readonly LiveConnections[] {
  const ways = connections.map(pageConnection);
  const byWay = Map.groupBy(ways, ({ frontend, endpoint, protocol }) => `${frontend} ${endpoint} ${protocol}`);
  return [...byWay.values()].flatMap((own) => {
    const [first] = own;
    if (first === undefined) return [];
    const { frontend, endpoint, protocol } = first;
    return [{ frontend, endpoint, protocol, count: own.length }];
  });
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
