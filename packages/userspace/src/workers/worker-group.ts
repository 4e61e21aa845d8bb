import type { ConnectionQuestion } from "@svcproxy/host";
import type { DataPlane } from "../plane/byte-stream.ts";
import { isUdpHandle } from "../plane/native-handles.ts";
import type { HandedListener } from "../service-proxy.ts";
import type { Worker } from "./worker.ts";
import type { WorkerChange } from "./worker-change.ts";
import type { WorkerConnections } from "./worker-connections.ts";
import type { WorkerReading } from "./worker-reports.ts";

/** The processes that carry connections; this one alone, or several that share every TCP frontend. */
export interface WorkerGroup {
  apply(change: WorkerChange): void;
  /** The group owns the handle from here on. @throws an error with a system error `code` */
  listen(listener: HandedListener): Promise<void>;
  unlisten(key: string): void;
  setDown(keys: ReadonlySet<string>): void;
  /** Resolves when all workers have done what they were told. */
  settle(): Promise<void>;
  read(): Promise<GroupReadings>;
  connections(question: ConnectionQuestion): Promise<WorkerConnections>;
  /** Stops accepting; resolves when the last connection has ended. */
  drain(): Promise<void>;
  /** Resets what is left. */
  close(): Promise<void>;
}

export interface GroupReadings {
  readonly workers: readonly GroupReading[];
  /** What workers that are no more had counted. */
  readonly retired: readonly RetiredReading[];
}

export type RetiredReading = Pick<WorkerReading, "frontends" | "endpoints">;

export interface GroupReading extends WorkerReading {
  readonly index: number;
  readonly state: "running" | "starting";
  readonly restarts: number;
}

/** The group of a proxy that carries its connections itself. */
export function localWorkerGroup(worker: Worker, plane: DataPlane): WorkerGroup {
  return {
    apply: (change) => worker.apply(change),
    async listen({ key, handle }: HandedListener) {
      if (isUdpHandle(handle)) worker.listenUdp(key, handle);
      else worker.listenTcp(key, plane.adopt(handle));
    },
    unlisten: (key) => worker.unlisten(key),
    async settle() {},
    setDown: (keys) => worker.setDown(keys),
    async read(): Promise<GroupReadings> {
      return { workers: [{ ...worker.read(), index: 0, state: "running", restarts: 0 }], retired: [] };
    },
    connections: async (question) => worker.connections(question),
    drain: () => worker.drain(),
    async close() {
      worker.close();
    },
  };
}
