import { join } from "node:path";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { createKernelHost } from "./testing/kernel-host.ts";

const PROGRAM = join(import.meta.dirname, "testing/exhausting-program.ts");
const reason = whyNoKernelTests(["ip", "iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"]);

describe.skipIf(reason !== undefined)(`a roll-back${reason === undefined ? "" : ` (${reason})`}`, () => {
  test.for(["nft", "legacy"] as const)(
    "goes through although the file descriptors have run out, with iptables-%s",
    async (variant) => {
      await using host = await createKernelHost(variant);
      await host.run("iptables -t nat -A OUTPUT -d 10.9.9.9 -j ACCEPT\nip6tables -A INPUT -s fd00::9 -j DROP\n");
      const before = await host.dump();
      const limited = ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh", process.execPath, PROGRAM, variant];
      const { stdout } = await host.namespace.run("env", [`XTABLES_LOCKFILE=${host.lockFile}`, ...limited]);
      expect(JSON.parse(stdout)).toEqual({
        code: "OUT_OF_DESCRIPTORS",
        message: expect.stringMatching(
          /^EnvironmentError: Cannot run ip6?tables-\w+-restore: this process has no file descriptor left; the host has its old rules again$/,
        ),
      });
      expect(await host.dump()).toBe(before);
    },
  );
});
