// The proxy as the command line runs it: metrics on, limits set, timeouts armed. Arguments: TOPOLOGY WORKERS MAX-CONNECTIONS RUNTIME-DIR NAME
import { readFile } from "node:fs/promises";
import process from "node:process";
import { thisMachine } from "@svcproxy/host";
import { parseTopology, planHost } from "@svcproxy/topology";
import { Daemon, DEFAULT_PROXY_OPTIONS } from "@svcproxy/userspace";
import { pino } from "pino";

const [topology = "", workers = "1", maxConnections = "0", runtimeDirectory = "", name = ""] = process.argv.slice(2);
const daemon = new Daemon(
  {
    version: "bench",
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
    requireAll: true,
    metrics: { address: "127.0.0.1", port: 0 },
    topology,
    watch: [topology],
  },
  {
    logger: pino({ level: "warn" }, pino.destination({ dest: 2, sync: true })),
    machine: thisMachine,
    loadPlan: async () =>
      planHost(parseTopology(await readFile(topology), { file: topology }).topology, { host: "bench" }),
  },
);
process.on("SIGTERM", () => daemon.stop());
await daemon.start();
await daemon.finished;
