/**
 * Bringing a large plan to the kernel, changing one service of it, and removing it, for both variants of iptables:
 * `pnpm --filter @svcproxy/iptables bench:apply`. Needs root.
 */
import { planHost } from "@svcproxy/topology";
import { compileRules } from "../src/index.ts";
import { createKernelHost } from "../src/kernel/testing/kernel-host.ts";
import { LARGE_HOST, largeTopology } from "./large-topology.ts";

const SERVICES = Number(process.env["SERVICES"] ?? 10_000);
/** Seconds for the first apply: iptables-nft takes 40 s where it is fed in the wrong order. */
const LIMIT_SECONDS = 20;

const { signal } = new AbortController();
const desiredOf = (services: number) => [
  compileRules(planHost(largeTopology({ services, endpoints: 1 }), { host: LARGE_HOST }), {
    dialect: "document",
    family: 4,
  }),
];
const steps = [
  { name: `${SERVICES - 1} services in`, desired: desiredOf(SERVICES - 1), limit: LIMIT_SECONDS },
  { name: "one more", desired: desiredOf(SERVICES), limit: undefined },
  { name: "nothing to change", desired: desiredOf(SERVICES), limit: undefined },
  { name: "all removed", desired: [], limit: undefined },
];

for (const variant of ["nft", "legacy"] as const) {
  await using host = await createKernelHost(variant);
  for (const { name, desired, limit } of steps) {
    const start = performance.now();
    const { changes } = await host.backend.apply(desired, { signal });
    const seconds = (performance.now() - start) / 1000;
    const commands = changes.reduce((sum, change) => sum + change.commands.length, 0);
    const verdict = limit === undefined ? "" : ` (at most ${limit}: ${seconds <= limit ? "met" : "MISSED"})`;
    console.log(`${variant}: ${name}: ${seconds.toFixed(2)} s${verdict}, ${commands} commands`);
  }
}
