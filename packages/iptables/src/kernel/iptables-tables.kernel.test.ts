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
    }
  },
);
