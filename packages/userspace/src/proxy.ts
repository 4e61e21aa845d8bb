import { performance } from "node:perf_hooks";
import { EnvironmentError } from "@svcproxy/topology";
import { FailureLog } from "./failure-log.ts";
import { handleDataPlane } from "./plane/handle-streams.ts";
import { loadNativeHandles } from "./plane/native-handles.ts";
import { socketDataPlane } from "./plane/socket-streams.ts";
import { LocalLimiter } from "./policy/connection-limiter.ts";
import type { ProxyOptions } from "./proxy-options.ts";
import { RunningProxy } from "./running-proxy.ts";
import type { ProxySurroundings, ServiceProxy } from "./service-proxy.ts";
import { ProcessWorkerGroup } from "./workers/process-worker-group.ts";
import { Worker, type WorkerSurroundings } from "./workers/worker.ts";
import { localWorkerGroup, type WorkerGroup } from "./workers/worker-group.ts";
import type { WorkerReports } from "./workers/worker-reports.ts";

/**
 * A proxy that serves nothing yet; `apply` gives it a plan.
 *
 * @throws EnvironmentError UNSUPPORTED_NODE where this Node cannot do it
 */
export async function createProxy(options: ProxyOptions, surroundings: ProxySurroundings): Promise<ServiceProxy> {
  const native = loadNativeHandles();
  const plane = native === undefined ? socketDataPlane() : handleDataPlane(native);
  if (plane === undefined) throw unsupportedNode("this Node is too old");
  if (native === undefined) {
    if (options.workers > 1) throw unsupportedNode("this Node lacks the handles by which workers share a listener");
    surroundings.logger.warn("this Node lacks the native handles that are known: TCP only, slower, and no hand-over");
  }
  const failures = new FailureLog(surroundings.logger);
  let refused = (_frontend: string): void => {};
  const onRefused = (frontend: string) => refused(frontend);
  const reports: WorkerReports = {
    refused: onRefused,
    dialFailed: (report) => failures.dialFailed(report),
    overLimit: (report) => failures.overLimit(report),
    fault: (error) => surroundings.logger.error({ err: error }, "this is a bug in svcproxy, and was passed over"),
    ...(surroundings.onConnectionEnd === undefined ? {} : { ended: surroundings.onConnectionEnd }),
  };
  const workers =
    options.workers > 0 && native !== undefined
      ? new ProcessWorkerGroup({ ...surroundings, options, failures, onRefused })
      : undefined;
  // As under an emulator, which starts no second program of its kind.
  const isAlone = workers !== undefined && options.workers === 1 && !(await workers.hasStarted());
  if (isAlone) {
    await workers.close();
    surroundings.logger.warn("no worker process can be started: this one carries connections itself");
  }
  const group =
    workers === undefined || isAlone
      ? startLocalGroup({ options, plane, reports, inheritedListeners: surroundings.inherited?.size ?? 0 })
      : workers;
  const proxy = new RunningProxy({ options, surroundings, plane, group });
  refused = (frontend) => proxy.refused(frontend);
  return proxy;
}

function unsupportedNode(reason: string): EnvironmentError {
  return new EnvironmentError("UNSUPPORTED_NODE", `Cannot start the proxy: ${reason}`, {
    hint: "Use the Node version that svcproxy was released with",
  });
}

function startLocalGroup(surroundings: Omit<WorkerSurroundings, "limiter">): WorkerGroup {
  const limiter = new LocalLimiter(surroundings.options, () => performance.now());
  return localWorkerGroup(new Worker({ ...surroundings, limiter }), surroundings.plane);
}
