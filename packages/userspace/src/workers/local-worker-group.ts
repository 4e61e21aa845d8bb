import type { DataPlane } from "../plane/byte-stream.ts";
import { isUdpHandle } from "../plane/native-handles.ts";
import type { HandedListener } from "../service-proxy.ts";
import type { Worker } from "./worker.ts";
import type { GroupReadings, WorkerGroup } from "./worker-group.ts";

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
    drain: () => worker.drain(),
    async close() {
      worker.close();
    },
  };
}
