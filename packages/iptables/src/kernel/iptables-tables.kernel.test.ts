import { whyNoKernelTests } from "@svcproxy/lab";
import { describe } from "vitest";
import { describeBackend } from "./testing/backend-contract.ts";
import { createKernelHost } from "./testing/kernel-host.ts";

const reason = whyNoKernelTests(["ip", "iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"]);

describe.skipIf(reason !== undefined)(
  `the kernel${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true },
  () => {
    for (const variant of ["nft", "legacy"] as const) {
      describeBackend(`iptables-${variant}`, () => createKernelHost(variant));
    }
  },
);
