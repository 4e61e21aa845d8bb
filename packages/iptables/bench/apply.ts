/**
 * Bringing a large plan to the kernel, changing it, and removing it, for both variants of iptables:
 * `pnpm --filter @svcproxy/iptables bench:apply`. Needs root.
 */
import { LARGE_HOST, largeTopology } from "@svcproxy/host/testing";
import { type HostPlan, planHost } from "@svcproxy/topology";
import { testMachine } from "../src/data-path/testing/test-machine.ts";
import { IptablesDataPath } from "../src/index.ts";
import { createKernelHost } from "../src/kernel/testing/kernel-host.ts";

const SERVICES = Number(process.env["SERVICES"] ?? 10_000);
const ENDPOINTS = Number(process.env["ENDPOINTS"] ?? 1);
/** Seconds for the first apply: iptables-nft takes 40 s where it is fed in the wrong order. */
const LIMIT_SECONDS = 20;
/** So many services get other endpoints at once. */
const CHANGED = 5;

const { signal } = new AbortController();

function planOf(services: number): HostPlan {
  return planHost(largeTopology({ services, endpoints: ENDPOINTS }), { host: LARGE_HOST });
}

/** The plan with other endpoints for some services, and their names. */
function withOtherEndpoints(plan: HostPlan): { readonly plan: HostPlan; readonly changed: ReadonlySet<string> } {
  const names = new Set(plan.ports.slice(100, 100 + CHANGED).map(({ service }) => service.name));
  const topology = largeTopology({ services: SERVICES, endpoints: ENDPOINTS });
  const endpointsOf = (index: number) => topology.services[index]?.ports[0]?.endpoints ?? [];
  const services = topology.services.map((service, index) =>
    names.has(service.name)
      ? { ...service, ports: service.ports.map((port) => ({ ...port, endpoints: endpointsOf(index + 1) })) }
      : service,
  );
  const next = planHost({ ...topology, services }, { host: LARGE_HOST });
  return { plan: next, changed: new Set([...names].map((name) => `default/${name}`)) };
}

const all = planOf(SERVICES);
const other = withOtherEndpoints(all);
const steps: readonly Step[] = [
  { name: `${SERVICES - 1} services in`, plan: planOf(SERVICES - 1), limit: LIMIT_SECONDS },
  { name: "one more, by a look at all", plan: all },
  { name: "nothing to change, by a look at all", plan: all },
  { name: `endpoints of ${CHANGED}, by what changed`, ...other },
  { name: `endpoints of ${CHANGED} back, by a look at all`, plan: all },
  { name: "one less, by what changed", plan: planOf(SERVICES - 1), changed: new Set([`default/svc-${SERVICES - 1}`]) },
  { name: "all removed", plan: { ...all, ports: [], healthChecks: [] } },
];

for (const variant of ["nft", "legacy"] as const) {
  await using host = await createKernelHost(variant);
  const machine = testMachine({ tables: host.tables, variant });
  const dataPath = new IptablesDataPath({ settings: { dialect: "document" }, machine });
  await using session = await dataPath.open(signal);
  for (const { name, plan, changed, limit } of steps) {
    const start = performance.now();
    const { changes } = await session.apply(plan, changed === undefined ? {} : { changed });
    const seconds = (performance.now() - start) / 1000;
    const commands = changes.reduce((sum, change) => sum + change.commands.length, 0);
    const verdict = limit === undefined ? "" : ` (at most ${limit}: ${seconds <= limit ? "met" : "MISSED"})`;
    console.log(`${variant}: ${name}: ${seconds.toFixed(2)} s${verdict}, ${commands} commands`);
  }
}

interface Step {
  readonly name: string;
  readonly plan: HostPlan;
  readonly changed?: ReadonlySet<string>;
  readonly limit?: number;
}
