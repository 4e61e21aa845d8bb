import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { readPodNamespaces } from "../machine/pod-namespaces.ts";
import { machineInside } from "../testing/machine/machine-inside.ts";
import { readNamespaceIds } from "./read-namespace-ids.ts";

const reason = whyNoKernelTests(["ip", "nsenter", "lsns"]);
const { signal } = new AbortController();

describe.skipIf(reason !== undefined)(`namespaces of one address${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("have the numbers that the host's links have for them", async () => {
    await using host = await createNetworkNamespace();
    await using first = await createNetworkNamespace();
    await using second = await createNetworkNamespace();
    await using stranger = await createNetworkNamespace();
    for (const [at, pod] of [first, second].entries()) {
      await host.run("ip", ["link", "add", `pod${at}`, "type", "veth", "peer", "name", "eth0", "netns", `${pod.pid}`]);
      await pod.run("ip", ["addr", "add", "10.5.75.2/24", "dev", "eth0"]);
    }
    await stranger.run("ip", ["addr", "add", "10.5.75.2/24", "dev", "lo"]);
    const all = await readPodNamespaces();
    const pods = [first, second, stranger].flatMap((one) => all.find(({ pid }) => pid === one.pid) ?? []);
    const links: unknown = JSON.parse((await host.run("ip", ["-j", "link"])).stdout);
    const byName = new Map(Array.isArray(links) ? links.map((link) => [link.ifname, link.link_netnsid]) : []);
    const read = await readNamespaceIds(machineInside(host), { pods, signal });
    expect(read.map(({ linkId }) => linkId)).toEqual([byName.get("pod0"), byName.get("pod1"), undefined]);
    expect(byName.get("pod0")).not.toBe(byName.get("pod1"));
  });
});
