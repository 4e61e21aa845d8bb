import { FEATURES, NODE_SETTINGS, readFlowFile } from "@svcproxy/host/testing";
import { whyNoKernelTests } from "@svcproxy/lab";
import { parseTopology, planHost, type Topology } from "@svcproxy/topology";
import { describe, test } from "vitest";
import { compileRules } from "../compile-rules.ts";
import { createKernelHost } from "./testing/kernel-host.ts";

const { signal } = new AbortController();
const reason = whyNoKernelTests(["ip", "iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"]);

const TOPOLOGIES = {
  features: FEATURES,
  "kube-proxy": new URL("../../golden/kube-proxy/topology.yaml", import.meta.url),
  "node-settings": NODE_SETTINGS,
};

function manyServices(count: number): Topology {
  const name = (index: number) => `${index >> 8}.${index & 255}`;
  const text = JSON.stringify({
    hosts: [
      {
        ...{ name: "one", address: "192.0.2.6", podCIDR: "10.1.0.0/16" },
        pods: Array.from({ length: count }, (_, index) => ({ name: `p${index}`, address: `10.1.${name(index)}:80` })),
      },
    ],
    services: Array.from({ length: count }, (_, index) => ({
      ...{ name: `s${index}`, clusterIP: `10.2.${name(index)}`, ports: [{ port: 80 }] },
      endpoints: [`p${index}`, `p${(index + 1) % count}`],
    })),
  });
  return parseTopology(new TextEncoder().encode(text), { file: "many.json" }).topology;
}

describe.skipIf(reason !== undefined)(
  `plans in the kernel${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 300_000 },
  () => {
    for (const variant of ["nft", "legacy"] as const) {
      for (const [name, file] of Object.entries(TOPOLOGIES)) {
        for (const dialect of ["document", "kubernetes"] as const) {
          test(`${name} as ${dialect} rules is read back from iptables-${variant} as it was planned, and removed without a trace`, async ({
            expect,
          }) => {
            await using host = await createKernelHost(variant);
            const topology = readFlowFile(file);
            for (const { name: hostName } of topology.hosts.slice(0, 2)) {
              for (const dispatch of ["linear", "tree"] as const) {
                const plan = planHost(topology, { host: hostName });
                const desired = ([4, 6] as const).map((family) => compileRules(plan, { dialect, family, dispatch }));
                await host.backend.apply(desired, { signal });
                expect((await host.backend.compare(desired, { signal })).changes).toEqual([]);
              }
            }
            await host.backend.apply([], { signal });
            expect(await host.dump()).toBe("");
          });
        }
      }

      // Enough chains for the order of commands in which iptables-nft is quick; bench/apply.ts does the same with 10,000.
      test(`1,000 services go into iptables-${variant}, one more of them too, and out again`, async ({ expect }) => {
        await using host = await createKernelHost(variant);
        const rulesOf = (count: number) => [
          compileRules(planHost(manyServices(count), { host: "one" }), { dialect: "document", family: 4 }),
        ];
        await host.backend.apply(rulesOf(999), { signal });
        const { changes } = await host.backend.apply(rulesOf(1_000), { signal });
        expect(changes.flatMap(({ commands }) => commands).length).toBeLessThan(1_200);
        await host.backend.apply([], { signal });
        expect(await host.dump()).toBe("");
      });
    }
  },
);
