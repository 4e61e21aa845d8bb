import { readSnapshot } from "@svcproxy/host";
import { parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { ObservedHost } from "../observation.ts";
import type { Leaving } from "../walk/stop.ts";
import { causeOfSilence } from "./check-silence.ts";

const TOPOLOGY = {
  hosts: [
    { name: "one", address: "192.0.2.1", podCIDR: "10.5.75.0/24", pods: [{ name: "p", address: "10.5.75.2:3000" }] },
  ],
  services: [{ name: "web", clusterIP: "10.100.0.1", ports: [{ port: 80 }], endpoints: ["p"] }],
};
const { topology } = parseTopology(Buffer.from(JSON.stringify(TOPOLOGY)), { file: "test" });
const plan = planHost(topology, { host: "one" });

const link = (ifname: string, info_kind: string, more: Readonly<Record<string, unknown>> = {}) => ({
  ...{ ifname, flags: ["UP", "LOWER_UP"], operstate: "UP", linkinfo: { info_kind } },
  ...more,
});

/** What is told of the pod's silence, where the host has these devices and namespaces besides its bridge. */
function told(links: readonly unknown[], pods: readonly (readonly string[])[], out = "cni0") {
  const parts = {
    ...{ svcproxySnapshot: 1, addr: [], route: { 4: [], 6: [] }, rule: { 4: [], 6: [] }, sysctls: {} },
    link: [link("cni0", "bridge"), ...links],
    neigh: [{ dst: "10.5.75.2", dev: out, state: ["FAILED"] }],
    pods: pods.map((addresses, index) => ({ inode: index, pid: 40 + index, addresses, listeners: [] })),
  };
  const at = new ObservedHost({ plan, snapshot: readSnapshot(JSON.stringify(parts), { file: "test" }) });
  const [endpoint] = plan.ports.flatMap(({ reachableEndpoints }) => reachableEndpoints);
  if (endpoint === undefined) throw new TypeError("no endpoint");
  const way: Leaving = {
    ...{ at, endpoint, protocol: "tcp", source: "10.5.75.1", interface: out, nextHop: endpoint.address },
    ...{ sufferer: { service: "default/web", client: "host", share: 1 }, prefixLength: 24 },
  };
  return causeOfSilence(way);
}

const PORT = link("veth1", "veth", { master: "cni0" });

test("one that is there, and to which a route leads by a device where it is not, is cut off", () => {
  expect(told([PORT], [["10.5.75.2"]], "eth0")).toMatchObject({
    code: "POD_CUT_OFF",
    text: "p is there, and not found by eth0, to which a route leads",
    evidence: [
      "pid 40 is in a network namespace that has 10.5.75.2",
      "ip neigh has it on eth0 as FAILED, although it was dialled",
    ],
  });
  expect(told([PORT], [["10.5.75.3"]], "eth0")).toBeUndefined();
});

test("a pod that nobody has is gone", () => {
  expect(told([PORT], [["10.5.75.3"]])?.code).toBe("POD_GONE");
});

test("one that is there and behind no port of the bridge is cut off, and the device that is no port is named", () => {
  const found = told([PORT, link("veth0", "veth")], [["10.5.75.3"], ["10.5.75.2"]]);
  expect(found).toMatchObject({
    code: "POD_CUT_OFF",
    text: "p is there, and not found behind cni0, by which one reaches its pods",
  });
  expect(found?.evidence).toEqual([
    "pid 41 is in a network namespace that has 10.5.75.2",
    "ip neigh has it as FAILED, although it was dialled",
    "ip link: no ports of a bridge are veth0",
  ]);
});
