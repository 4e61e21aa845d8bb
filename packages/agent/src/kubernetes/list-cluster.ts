import { setTimeout as delay } from "node:timers/promises";
import { type ClusterObjects, EnvironmentError } from "@svcproxy/topology";
import type { ApiClient } from "./api-client.ts";
import { ApiError, type ApiObject, explainApiError } from "./api-error.ts";
import { stripped } from "./api-object.ts";
import { listPages } from "./list-pages.ts";
import { type Resource, WHOLE_RESOURCES } from "./resource.ts";

/** A server that asks to be left alone for a while, or forgets a list while it is read, is asked so many times. */
const TRIES = 5;
const PAUSE_MS = 200;
/** HTTP: too many requests, not now, too late, and a page that has expired. */
const PASSING: ReadonlySet<number> = new Set([429, 503, 504, 410]);

/**
 * Services, EndpointSlices, Nodes and ServiceCIDRs of a cluster as they are now: for commands that look and do not follow.
 *
 * @throws EnvironmentError API_UNREACHABLE, API_REFUSED, API_FAILED, INTERRUPTED
 */
export async function listCluster(client: ApiClient, signal: AbortSignal): Promise<ClusterObjects> {
  const listed = WHOLE_RESOURCES.map(
    async (resource) => [resource.kind, await listResource(client, resource, signal)] as const,
  );
  return new Map(await Promise.all(listed));
}

async function listResource(client: ApiClient, resource: Resource, signal: AbortSignal): Promise<readonly ApiObject[]> {
  for (let tried = 1; ; tried++) {
    try {
      const items: ApiObject[] = [];
      for await (const page of listPages({ client, resource }, signal)) items.push(...page.items.map(stripped));
      return items;
    } catch (error) {
      if (signal.aborted) throw new EnvironmentError("INTERRUPTED", "Interrupted", { cause: error });
      const status = error instanceof ApiError ? error.status : undefined;
      // As who follows has it: a server that does not have it, or does not show it, is as good as one that has none.
      if (resource.isOptional && (status?.code === 404 || status?.code === 403)) return [];
      const isPassing = status !== undefined && PASSING.has(status.code);
      if (!isPassing || tried >= TRIES) {
        throw explainApiError(error, { what: `list ${resource.plural}`, server: client.name });
      }
      await delay(status.retryAfterMs ?? PAUSE_MS, undefined, { signal }).catch(() => {});
    }
  }
}
