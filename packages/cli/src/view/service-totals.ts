import type { ServiceCounters } from "@svcproxy/agent";
import type { CountsReading } from "@svcproxy/page";

/** New connections of each service, all of its ports together. */
export function countsReading(
  host: string,
  { services, readAt }: Pick<ServiceCounters, "services"> & { readonly readAt: string | Date },
): CountsReading {
  const totals = new Map<string, number>();
  for (const { service, connections } of services) totals.set(service, (totals.get(service) ?? 0) + connections);
  return { host, readAtMs: new Date(readAt).getTime(), totals };
}
