import { describeDataPath } from "@svcproxy/host/testing";
import { whyNoKernelTests } from "@svcproxy/lab";
import { createKernelHost } from "../kernel/testing/kernel-host.ts";
import { Refusal, ruleHost } from "./testing/rule-host.ts";

const skip = whyNoKernelTests(["ip", "iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"]);

// Each pair of values meets in one of them.
for (const { variant, dialect, dispatch } of [
  { variant: "nft", dialect: "document", dispatch: "linear" },
  { variant: "nft", dialect: "kubernetes", dispatch: "tree" },
  { variant: "legacy", dialect: "document", dispatch: "tree" },
  { variant: "legacy", dialect: "kubernetes", dispatch: "linear" },
] as const) {
  const name = `iptables-${variant}, ${dialect} dialect, dispatch ${dispatch}`;
  describeDataPath(
    name,
    async () => {
      const refusal = new Refusal();
      const { tables, run, dumps, ...disposable } = await createKernelHost(variant, {
        edit: (input) =>
          input
            .split("\n")
            .map((line) => (refusal.refuses(line) ? "-A INPUT -m svcproxy-test-refusal" : line))
            .join("\n"),
      });
      return ruleHost({
        ...{ tables, variant, settings: { dialect, dispatch }, refusal, run, dump: dumps },
        [Symbol.asyncDispose]: () => disposable[Symbol.asyncDispose](),
      });
    },
    { skip, walks: 2 },
  );
}
