import { describe, expect, test } from "vitest";
import { whyNoKernelTests } from "./kernel-support.ts";
import { createNetworkNamespace } from "./network-namespace.ts";

const reason = whyNoKernelTests(["ip", "unshare", "nsenter"]);

describe.skipIf(reason !== undefined)(`a network namespace${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("has nothing but its own loopback, and what is fed to a command arrives", async () => {
    await using namespace = await createNetworkNamespace();
    const { stdout } = await namespace.run("ip", ["-j", "link"]);
    expect(JSON.parse(stdout).map((link: { ifname: string }) => link.ifname)).toEqual(["lo"]);
    expect((await namespace.run("cat", [], { input: "fed" })).stdout).toBe("fed");
  });
});
