import { readFile } from "node:fs/promises";
import type { ClusterObject } from "./cluster-store.ts";
import { TestApiServer } from "./test-api-server.ts";

/** What a file says of a cluster for tests. */
export interface ClusterState {
  readonly objects: readonly ClusterObject[];
  /** Whether its API server is gone for now. */
  readonly isAway?: boolean;
  /** Whether it streams lists. */
  readonly canStream?: boolean;
}

const LOOK_MS = 20;
const KINDS = ["Node", "ServiceCIDR", "Service", "EndpointSlice"] as const;

/** Runs the API server of a cluster on a port, as a file says from one moment to the next. Never ends. */
export async function runCluster(file: string, port: number): Promise<never> {
  const server = await TestApiServer.start({ port });
  let last = "";
  let isAway = false;
  for (;;) {
    const text = await readFile(file, "utf8");
    if (text !== last) {
      last = text;
      const state: ClusterState = JSON.parse(text);
      server.canStream = state.canStream ?? true;
      for (const kind of KINDS)
        server.store.replace(
          kind,
          state.objects.filter((object) => object.kind === kind),
        );
      if (state.isAway === true && !isAway) await server.kill();
      if (state.isAway !== true && isAway) await server.listen();
      isAway = state.isAway === true;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
