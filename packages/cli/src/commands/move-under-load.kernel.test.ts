import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { whyNoKernelTests } from "@svcproxy/lab";
import { ASKING_PODS, createServiceWorld, openLongConnection, randomPod, startLoad } from "@svcproxy/nftables/testing";
import { describe, test } from "vitest";
import { runCli } from "../testing/cli-in-namespace.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "iptables-legacy", "conntrack", "nsenter", "python3"]);

const SERVING = [0, 1, 2].map((pod) => ({ ...randomPod(pod), port: 8080 }));
const ECHO = { ...randomPod(3), port: 9090 };
const TOPOLOGY = {
  hosts: [
    {
      ...{ name: "one", addresses: ["192.168.1.6"], podCIDRs: ["10.5.0.0/24"] },
      pods: [...SERVING, ECHO].map(({ name, ipv4, port }) => ({ name, addresses: [`${ipv4}:${port}`] })),
    },
  ],
  services: [
    {
      ...{ name: "web", clusterIPs: ["10.100.0.1"], ports: [{ port: 80 }] },
      endpoints: SERVING.map(({ name }) => name),
    },
    { name: "echo", clusterIPs: ["10.100.0.2"], ports: [{ port: 81 }], endpoints: [ECHO.name] },
  ],
};

describe.skipIf(reason !== undefined)(
  `a host moves to the other data path${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test.for(["nft", "legacy"])(
      "from iptables (%s) to nftables and back, twice, and no connection meets it",
      async (variant, { expect }) => {
        const folder = await mkdtemp(join(tmpdir(), "svcproxy-move-"));
        try {
          await using world = await createServiceWorld();
          const file = join(folder, "topology.json");
          await writeFile(file, JSON.stringify(TOPOLOGY));
          const env = { RUNTIME_DIRECTORY: folder, XTABLES_LOCKFILE: join(folder, "xtables.lock") };
          const apply = async (name: "iptables" | "nftables", ...flags: string[]) => {
            const how = name === "iptables" ? ["--variant", variant] : [];
            const args = [name, "apply", file, "--host", "one", "--family", "4", ...how, ...flags];
            expect(await runCli(world.host, args, { env })).toMatchObject({ exitCode: 0 });
          };
          await apply("iptables");
          await using long = await openLongConnection({
            from: world.pod,
            service: { address: "10.100.0.2", port: 81 },
            endpoint: { at: world.pods, address: ECHO.ipv4, port: ECHO.port },
          });
          const load = await startLoad({
            ...{ from: world.pod, rate: 100, to: "10.100.0.1", port: 80 },
            sources: ASKING_PODS.map(({ ipv4 }) => ipv4),
          });
          for (const round of [1, 2]) {
            await apply("nftables", "--replace", "iptables");
            await long.exchange(`nftables ${round}`);
            await apply("iptables", "--replace", "nftables");
            await long.exchange(`iptables ${round}`);
          }
          const report = await load.stop();
          expect(report).toMatchObject({ refused: 0, reset: 0, failed: 0, errors: [] });
          // Four moves take half a second each on a quick machine.
          expect(report.answered).toBeGreaterThan(30);
        } finally {
          await rm(folder, { recursive: true });
        }
      },
    );
  },
);
