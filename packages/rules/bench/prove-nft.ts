/**
 * Reading, tracing and proving what kube-proxy's nftables mode writes for 10,000 services × 3 endpoints against the time
 * that nft takes to load and to list it, in turns: `pnpm --filter @svcproxy/rules bench:prove-nft`. Needs root.
 */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { parseIpAddress, parseTopology, planHost } from "@svcproxy/topology";
import { hostStateOf } from "../src/host/host-state-of.ts";
import { proveRules } from "../src/prove/prove-rules.ts";
import { tableDeviations } from "../src/prove/report/table-deviations.ts";
import { readRules } from "../src/rule-sets/read-rules.ts";
import { createTracer } from "../src/trace/trace-packet.ts";
import { manyNftServices } from "./many-nft-services.ts";

const ROUNDS = 3;
const MAX_TRACE_RATIO = 1;
const MAX_PROVE_RATIO = 6;
const MAX_MIB = 600;
const SERVICES = Number(process.argv[2] ?? 10_000);
const ENDPOINTS = 3;

const hosts = times(
  (host) => ({
    name: `host${host}`,
    address: `192.168.1.${host + 1}`,
    podCIDR: `10.${10 + host}.0.0/16`,
    pods: times((service) => ({ name: `p${service}-${host}`, address: `${pod(service, host)}:8080` }), SERVICES),
  }),
  ENDPOINTS,
);
const services = times(
  (service) => ({
    name: `s${service}`,
    clusterIP: vip(service),
    ports: [{ port: 80 }],
    endpoints: times((host) => `p${service}-${host}`, ENDPOINTS),
  }),
  SERVICES,
);
const file = new TextEncoder().encode(JSON.stringify({ hosts, services }));
const { topology } = parseTopology(file, { file: "bench.json" });
const plan = planHost(topology, { host: "host0" });
const hostState = { ...hostStateOf(topology, { host: "host0" }), recentLists: {} };
const text = manyNftServices(
  times(
    (service) => ({
      vip: vip(service),
      pods: times((host) => pod(service, host), ENDPOINTS),
      local: [pod(service, 0)],
    }),
    SERVICES,
  ),
  { podBlock: "10.10.0.0/16" },
);
const [from, to] = ["10.10.1.1", vip(SERVICES - 1)].map((address) => parseIpAddress(address));
if (from === undefined || to === undefined) throw new TypeError("no address");
const ratios: { trace: number; prove: number }[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const script = "nft -f - && nft list ruleset > /dev/null";
  const loaded = timed(() => execFileSync("unshare", ["--net", "sh", "-c", script], { input: text }));
  const read = () => readRules([{ file: "rules.nft", text }]).rules(4);
  const traced = timed(() => createTracer({ rules: read(), hostState }).trace({ from, to, protocol: "tcp", port: 80 }));
  const proved = timed(() => {
    const proof = proveRules({ rules: read(), plan, hostState, deviations: tableDeviations("kube-proxy", plan) });
    if (!proof.holds) throw new Error(JSON.stringify(proof.claims.find(({ status }) => status !== "held")));
  });
  ratios.push({ trace: traced / loaded, prove: proved / loaded });
  console.log(
    `trace ${traced.toFixed(2)} s, prove ${proved.toFixed(2)} s, load and list ${loaded.toFixed(2)} s: ${(traced / loaded).toFixed(2)} and ${(proved / loaded).toFixed(2)}`,
  );
}
const median = (of: "trace" | "prove") =>
  ratios.map((ratio) => ratio[of]).toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? Number.POSITIVE_INFINITY;
const peakMiB = process.resourceUsage().maxRSS / 1024;
const isMet = median("trace") <= MAX_TRACE_RATIO && median("prove") <= MAX_PROVE_RATIO && peakMiB <= MAX_MIB;
console.log(
  `median: trace ${median("trace").toFixed(2)} (at most ${MAX_TRACE_RATIO}), prove ${median("prove").toFixed(2)} (at most ${MAX_PROVE_RATIO}), peak ${peakMiB.toFixed(0)} MiB (at most ${MAX_MIB})`,
);
console.log(isMet ? "met" : "MISSED");
process.exitCode = isMet ? 0 : 3;

function times<Item>(make: (index: number) => Item, count: number): readonly Item[] {
  return Array.from({ length: count }, (_, at) => make(at));
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}

function vip(service: number): string {
  return `10.200.${service >> 8}.${service & 255}`;
}

function pod(service: number, endpoint: number): string {
  return `10.${10 + endpoint}.${(service >> 8) + 1}.${service & 255}`;
}
