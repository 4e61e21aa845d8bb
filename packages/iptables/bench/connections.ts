/**
 * New connections per second through the rules of large clusters, as ratios within one interleaved run:
 * `pnpm --filter @svcproxy/iptables bench:connections`. A client, a backend that owns every endpoint's address, and between
 * them one host for each set of rules, all in namespaces. Needs root, both variants of iptables, and python3.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import {
  LARGE_HOST,
  type LargeTopologyOptions,
  largeTopology,
  measureConnectionRates,
  type RatedHost,
} from "@svcproxy/host/testing";
import { planHost } from "@svcproxy/topology";
import { compileScript, type DispatchMode, formatRestoreScript } from "../src/index.ts";

const SERVICES = 10_000;
const ROUNDS = Number(process.env["ROUNDS"] ?? 160);
const CONNECTIONS = Number(process.env["CONNECTIONS"] ?? 500);
const VARIANTS = ["nft", "legacy"] as const;

interface Subject {
  readonly name: string;
  readonly size: LargeTopologyOptions;
  readonly dispatch: DispatchMode;
  /** Services that are dialled, by their place. */
  readonly dialled: readonly number[];
}

const SUBJECTS: readonly Subject[] = [
  { name: "one service", size: { services: 1, endpoints: 1 }, dispatch: "auto", dialled: [0] },
  { name: "linear", size: { services: SERVICES, endpoints: 1 }, dispatch: "linear", dialled: [0, SERVICES - 1] },
  { name: "tree", size: { services: SERVICES, endpoints: 1 }, dispatch: "tree", dialled: [0, SERVICES - 1] },
  { name: "2 endpoints", size: { services: 1, endpoints: 2 }, dispatch: "auto", dialled: [0] },
  { name: "1,000 endpoints, linear", size: { services: 1, endpoints: 1000 }, dispatch: "linear", dialled: [0] },
  { name: "1,000 endpoints", size: { services: 1, endpoints: 1000 }, dispatch: "auto", dialled: [0] },
];

/** What is told at the end: one rate over another, and the target. */
const RATIOS: readonly (readonly [of: string, over: string, target: number | undefined])[] = [
  [`linear ${SERVICES - 1}`, "linear 0", undefined],
  [`linear ${SERVICES - 1}`, "one service 0", undefined],
  ["tree 0", "one service 0", undefined],
  [`tree ${SERVICES - 1}`, "tree 0", 0.95],
  [`tree ${SERVICES - 1}`, "one service 0", 0.95],
  ["1,000 endpoints, linear 0", "2 endpoints 0", undefined],
  ["1,000 endpoints 0", "2 endpoints 0", 0.95],
];

const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
// iptables-legacy's own lock is one for the whole machine, whatever the namespace: whoever else works there is not to wait for us.
process.env["XTABLES_LOCKFILE"] = join(folder, "xtables.lock");
try {
  const hosts = SUBJECTS.flatMap(({ name, size, dispatch, dialled }) => {
    const plan = planHost(largeTopology(size), { host: LARGE_HOST });
    const input = [...formatRestoreScript(compileScript(plan, { dialect: "document", family: 4, dispatch }))].join("");
    return VARIANTS.map(
      (variant): RatedHost => ({
        name: `${variant} ${name}`,
        dialled,
        load: (host) => host.run(`iptables-${variant}-restore`, ["--noflush"], { input }),
      }),
    );
  });
  const rateOf = await measureConnectionRates(hosts, { rounds: ROUNDS, connections: CONNECTIONS });
  for (const variant of VARIANTS) {
    for (const [of, over, target] of RATIOS) {
      const rate = rateOf(`${variant} ${of}`);
      const ratio = rate / rateOf(`${variant} ${over}`);
      const verdict = target === undefined ? "" : ` (at least ${target}: ${ratio >= target ? "met" : "MISSED"})`;
      console.log(`${variant}: ${of} over ${over}: ${ratio.toFixed(2)}${verdict}, ${rate.toFixed(0)} a second`);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
