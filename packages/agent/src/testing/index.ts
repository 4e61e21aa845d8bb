export { type ClusterState, runCluster } from "./run-cluster.ts";
