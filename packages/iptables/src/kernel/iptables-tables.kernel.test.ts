import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { describeBackend } from "./testing/backend-contract.ts";
import { createKernelHost } from "./testing/kernel-host.ts";

const reason = whyNoKernelTests(["ip", "iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"]);

describe.skipIf(reason !== undefined)(
  `the kernel${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true },
  () => {
    for (const variant of ["nft", "legacy"] as const) {
      describeBackend(`iptables-${variant}`, () => createKernelHost(variant));

      test(`a fingerprint of iptables-${variant}'s rules stays while packets are counted, and no longer`, async ({
        expect,
      }) => {
        await using host = await createKernelHost(variant);
        const print = async () => (await host.tables.print(4, new AbortController())).fingerprint;
        await host.run("iptables -t nat -N KUBE-X\niptables -t nat -A KUBE-X -j RETURN\niptables -P INPUT ACCEPT");
        const first = await print();
        expect((await host.tables.save(4, new AbortController())).fingerprint).toBe(first);
        await host.namespace.run("bash", [
          "-c",
          "ip link set lo up; { exec 3<>/dev/tcp/127.0.0.1/9; } 2>/dev/null || true",
        ]);
        expect((await host.namespace.run(`iptables-${variant}-save`, ["-t", "filter"])).stdout).toMatch(/\[[1-9]\d*:/);
        expect(await print()).toBe(first);
        await host.run("iptables -t nat -A KUBE-X -j ACCEPT");
        expect(await print()).not.toBe(first);
        await host.run("iptables -t nat -D KUBE-X 2");
        expect(await print()).toBe(first);
      });

      test(`chains of iptables-${variant} that are read alone are those of a look at all rules`, async ({ expect }) => {
        await using host = await createKernelHost(variant);
        await host.run(
          'iptables -t nat -A OUTPUT -m comment --comment "a \\"word\\"" -j ACCEPT\niptables -P INPUT DROP',
        );
        const options = new AbortController();
        const places = [
          { table: "nat", chain: "OUTPUT" },
          { table: "nat", chain: "POSTROUTING" },
          { table: "filter", chain: "INPUT" },
        ];
        const alone = await host.tables.readChains(4, { signal: options.signal, places });
        if (variant === "legacy") {
          expect(alone).toBeUndefined();
          return;
        }
        const { tables } = await host.tables.save(4, options);
        const chains = (rules: typeof tables) =>
          rules.flatMap(({ name: table, chains }) => chains.map(({ counters, ...chain }) => ({ table, ...chain })));
        const isAsked = ({ table, name }: { table: string; name: string }) =>
          places.some((place) => place.table === table && place.chain === name);
        const byPlace = (one: { table: string; name: string }, other: { table: string; name: string }) =>
          `${one.table} ${one.name}` < `${other.table} ${other.name}` ? -1 : 1;
        expect(chains(alone?.tables ?? []).sort(byPlace)).toEqual(chains(tables).filter(isAsked).sort(byPlace));
        expect((await host.tables.readChains(6, { signal: options.signal, places }))?.tables).toHaveLength(2);
      });
    }
  },
);
