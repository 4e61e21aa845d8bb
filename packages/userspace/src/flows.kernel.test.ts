import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeFlows, EDGE } from "@svcproxy/host/testing";
import { planHost } from "@svcproxy/topology";
import { RemoteDataPath } from "./testing/remote-data-path.ts";

describeFlows(
  [
    {
      name: "userspace",
      style: "userspace",
      protocols: ["tcp", "udp"],
      carries: "relay",
      crowded: false,
      async serve({ topology, host }) {
        const folder = await mkdtemp(join(tmpdir(), "svcproxy-flows-"));
        const dataPath = await RemoteDataPath.start({ pid: host.pid, folder });
        const session = await dataPath.open(new AbortController().signal);
        await session.apply(planHost(topology, { host: EDGE }));
        return {
          async [Symbol.asyncDispose]() {
            await dataPath[Symbol.asyncDispose]();
            await rm(folder, { recursive: true });
          },
        };
      },
    },
  ],
  { tools: [] },
);
