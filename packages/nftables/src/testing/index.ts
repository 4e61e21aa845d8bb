export { type LongConnection, openLongConnection } from "./long-connection.ts";
export { randomPod } from "./random-cluster.ts";
export { type RecordedCase, recordedCase, recordedCases, recordedConfigurationText } from "./recorded-kube-proxy.ts";
export { ASKING_PODS, createServiceWorld, type ServiceWorld } from "./service-world.ts";
export { type LoadReport, type SteadyLoad, startLoad } from "./steady-load.ts";
