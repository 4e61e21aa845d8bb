import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { thisMachine } from "../machine/machine.ts";
import { runTool } from "../tools/run-tool.ts";
import { describeKubeProxy, findKubeProxy } from "./find-kube-proxy.ts";

const reason = whyNoKernelTests([
  ...["ip", "unshare", "nsenter", "nft"],
  ...["iptables-nft-restore", "iptables-legacy-restore", "ip6tables-nft-restore"],
]);
const { signal } = new AbortController();

/** This machine, as a process in the namespace sees it, which runs nothing and listens nowhere. */
function machineIn({ pid }: NetworkNamespace) {
  return {
    ...thisMachine,
    readProcesses: async () => [{ pid: 1, command: "init" }],
    readListeners: async () => [],
    run: ((tool, args, options) =>
      runTool("nsenter", [`--net=/proc/${pid}/ns/net`, tool, ...args], options)) satisfies typeof runTool,
  };
}

const CANARY = "*mangle\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n";

describe.skipIf(reason !== undefined)(`a kube-proxy${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("is not where only a kubelet and ourselves are", async () => {
    await using namespace = await createNetworkNamespace();
    await namespace.run("iptables-nft-restore", [], {
      input: "*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n",
    });
    await namespace.run("nft", ["add table ip svcproxy; add table inet kube-proxy-notes"]);
    expect(await findKubeProxy(machineIn(namespace), { signal })).toBeUndefined();
  });

  test.for([
    {
      name: "iptables-nft",
      input: CANARY,
      tool: "iptables-nft-restore",
      said: "chain KUBE-PROXY-CANARY of iptables-nft",
    },
    {
      name: "ip6tables",
      input: CANARY,
      tool: "ip6tables-nft-restore",
      said: "chain KUBE-PROXY-CANARY of ip6tables-nft",
    },
    {
      name: "iptables-legacy",
      input: CANARY,
      tool: "iptables-legacy-restore",
      said: "chain KUBE-PROXY-CANARY of iptables-legacy",
    },
    { name: "nftables", input: "table ip6 kube-proxy { }", tool: "nft -f -", said: "table ip6 kube-proxy" },
  ])("that left its rules of $name is found, and is not said to run", async ({ input, tool, said }) => {
    await using namespace = await createNetworkNamespace();
    await namespace.run("sh", ["-c", tool], { input });
    const found = await findKubeProxy(machineIn(namespace), { signal });
    expect(found?.isRunning).toBe(false);
    expect(found === undefined ? "" : describeKubeProxy(found)).toBe(said);
  });

  test("is found by its process", async () => {
    await using namespace = await createNetworkNamespace();
    const machine = { ...machineIn(namespace), readProcesses: async () => [{ pid: 4711, command: "kube-proxy" }] };
    expect(await findKubeProxy(machine, { signal })).toEqual({
      isRunning: true,
      evidence: [{ kind: "process", pid: 4711 }],
    });
  });
});
