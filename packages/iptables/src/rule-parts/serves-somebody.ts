import type { Frontend } from "@svcproxy/topology";

/** Whether a frontend leads some client to an endpoint: it may be the host itself alone, which policy Local sends away least. */
export function servesSomebody({ clients }: Frontend): boolean {
  return clients.pod.kind === "forward" || clients.host.kind === "forward" || clients.outside.kind === "forward";
}

/** Whether only some clients may use a frontend that is served. */
export function isGuarded(frontend: Frontend): boolean {
  return frontend.sourceRanges.length > 0 && servesSomebody(frontend);
}
