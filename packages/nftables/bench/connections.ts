/**
 * New connections per second through a large table, as ratios within one interleaved run:
 * `pnpm --filter @svcproxy/nftables bench:connections`. Needs root, nft and python3.
 */
import process from "node:process";
import { LARGE_HOST, largeTopology, measureConnectionRates } from "@svcproxy/host/testing";
import type { NetworkNamespace } from "@svcproxy/lab";
import { planHost } from "@svcproxy/topology";
import { compileTable, formatTable } from "../src/index.ts";

const SERVICES = 10_000;
const ROUNDS = Number(process.env["ROUNDS"] ?? 160);
const CONNECTIONS = Number(process.env["CONNECTIONS"] ?? 500);
const LEAST = 0.97;

const last = `many ${SERVICES - 1}`;

function tableText(services: number, { countsTraffic = false } = {}): string {
  const plan = planHost(largeTopology({ services, endpoints: 1 }), { host: LARGE_HOST });
  return [...formatTable(compileTable(plan, { family: 4, countsTraffic }).table)].join("");
}

const hosts = [
  { name: "alone", dialled: [0], input: tableText(1) },
  { name: "many", dialled: [0, SERVICES - 1], input: tableText(SERVICES) },
  { name: "counted", dialled: [SERVICES - 1], input: tableText(SERVICES, { countsTraffic: true }) },
].map(({ input, ...host }) => ({
  ...host,
  load: (namespace: NetworkNamespace) => namespace.run("nft", ["-f", "-"], { input }),
}));
const rateOf = await measureConnectionRates(hosts, { rounds: ROUNDS, connections: CONNECTIONS });
for (const [over, name] of [
  ["many 0", "the first"],
  ["alone 0", "one service alone"],
] as const) {
  const ratio = rateOf(last) / rateOf(over);
  console.log(
    `the last of ${SERVICES} services over ${name}: ${ratio.toFixed(3)} (at least ${LEAST}: ` +
      `${ratio >= LEAST ? "met" : "MISSED"}), ${rateOf(last).toFixed(0)} a second`,
  );
}
const counted = rateOf(`counted ${SERVICES - 1}`) / rateOf(last);
console.log(`with traffic counters over without: ${counted.toFixed(3)}, connections of some ten packets`);
