export type { ClusterObject } from "./cluster-store.ts";
export { type ClusterState, runCluster } from "./run-cluster.ts";
export { TestApiServer } from "./test-api-server.ts";
