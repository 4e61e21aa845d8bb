// The proxy as the command line runs it: limits set, timeouts armed. Arguments: TOPOLOGY WORKERS MAX-CONNECTIONS RUNTIME-DIR NAME
import { readFile } from "node:fs/promises";
import process from "node:process";
import { thisMachine } from "@svcproxy/host";
import { parseTopology, planHost } from "@svcproxy/topology";
import { DEFAULT_PROXY_OPTIONS, UserspaceDataPath } from "@svcproxy/userspace";
import { pino } from "pino";

const [topology = "", workers = "1", maxConnections = "0", runtimeDirectory = "", name = ""] = process.argv.slice(2);
const dataPath = new UserspaceDataPath(
  {
    proxy: {
      ...DEFAULT_PROXY_OPTIONS,
      workers: Number(workers),
      maxConnections: Number(maxConnections),
      maxPerClient: Number(maxConnections),
      drainTimeoutMs: 0,
    },
    instance: { takeOver: false, runtimeDirectory, name },
    vipDevice: "svcproxy0",
    vipRanges: [],
    // Two of them share the VIP: one would take the other's rules away.
    vipIsolation: "off",
    requireAll: true,
  },
  {
    logger: pino({ level: "warn" }, pino.destination({ dest: 2, sync: true })),
    machine: thisMachine,
    status: async () => ({ pid: process.pid }),
    onTakenOver: () => void dataPath.stop(0),
  },
);
process.on("SIGTERM", () => void dataPath.stop(0));
const session = await dataPath.open(new AbortController().signal);
await session.apply(planHost(parseTopology(await readFile(topology), { file: topology }).topology, { host: "bench" }));
