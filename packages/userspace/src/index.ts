export * from "./access-record.ts";
export { describeFailure } from "./frontend-listeners.ts";
export type { Generation } from "./instance/generation.ts";
export type { InstanceOptions } from "./instance/instance-options.ts";
export { queryInstance, reloadInstance } from "./instance.ts";
export {
  DIAL_TIME_BUCKETS_SECONDS,
  END_REASONS,
  type EndpointCounters,
  type EndReason,
  type FrontendCounters,
  newEndpointCounters,
  newFrontendCounters,
} from "./policy/counters.ts";
export { createProxy } from "./proxy.ts";
export * from "./proxy-options.ts";
export * from "./proxy-status.ts";
export type { Draining, UserspaceSnapshot } from "./running-userspace.ts";
export type { ServeReport, ServiceProxy } from "./service-proxy.ts";
export * from "./userspace-data-path.ts";
export { userspaceLimitations } from "./userspace-limitations.ts";
export * from "./userspace-settings.ts";
export { exposedPrograms } from "./vip/exposed-programs.ts";
export { findLeftVips } from "./vip/left-vips.ts";
export { isolationObstacles } from "./vip/vip-isolation.ts";
export { runWorkerProcess } from "./workers/run-worker-process.ts";
