import { readSnapshot } from "@svcproxy/host";
import { parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { ObservedHost } from "../observation.ts";
import { checkAddresses } from "./check-addresses.ts";

const TOPOLOGY = {
  hosts: [
    {
      ...{ name: "one", address: "192.0.2.1", podCIDR: "10.5.75.0/24" },
      pods: ["2", "3"].map((last) => ({ name: `p${last}`, address: `10.5.75.${last}:3000` })),
    },
  ],
  services: [{ name: "web", clusterIP: "10.100.0.1", ports: [{ port: 80 }], endpoints: ["p2", "p3"] }],
};
const { topology } = parseTopology(Buffer.from(JSON.stringify(TOPOLOGY)), { file: "test" });
const plan = planHost(topology, { host: "one" });

interface Pod {
  readonly address: string;
  /** The bridge that its link is a port of; absent: no link of this host leads to it. */
  readonly bridge?: string;
}

function found(pods: readonly Pod[]): readonly string[] {
  const parts = {
    svcproxySnapshot: 1,
    ...{ addr: [], route: { 4: [], 6: [] }, rule: { 4: [], 6: [] }, sysctls: {} },
    link: pods.flatMap(({ bridge }, at) =>
      bridge === undefined
        ? []
        : [{ ifname: `veth${at}`, linkinfo: { info_kind: "veth" }, master: bridge, link_netnsid: at, flags: ["UP"] }],
    ),
    neigh: [{ dst: "10.5.75.2", dev: "cni0", lladdr: "02:00:00:00:00:02", state: ["REACHABLE"] }],
    processes: [{ pid: 101, command: "nginx" }],
    pods: pods.map(({ address, bridge }, at) => ({
      ...{ inode: at + 1, pid: at + 100, addresses: [address], listenOverflows: 0, listeners: [] },
      ...(bridge === undefined ? {} : { linkId: at }),
    })),
  };
  const here = new ObservedHost({ plan, snapshot: readSnapshot(JSON.stringify(parts), { file: "test" }) });
  return checkAddresses([], here).flatMap(({ code, subject, evidence }) => [`${code} ${subject}`, ...evidence]);
}

test("two pods of one bridge have the address of an endpoint", () => {
  const pods = ["10.5.75.2", "10.5.75.2", "10.5.75.3"].map((address) => ({ address, bridge: "cni0" }));
  expect(found(pods)).toEqual([
    "ADDRESS_TWICE address 10.5.75.2",
    "2 ports of cni0 lead to namespaces that have it: veth0 to that of process 100, veth1 to that of process 101 (nginx)",
    "now 02:00:00:00:00:02 gets what is sent to it (ip neigh)",
  ]);
});

test.for([
  ["a pod of another host on this machine", [{ address: "10.5.75.2", bridge: "cni0" }, { address: "10.5.75.2" }]],
  [
    "a pod of another bridge",
    [
      { address: "10.5.75.2", bridge: "cni0" },
      { address: "10.5.75.2", bridge: "br1" },
    ],
  ],
  [
    "two that are no endpoints",
    [
      { address: "10.5.75.9", bridge: "cni0" },
      { address: "10.5.75.9", bridge: "cni0" },
    ],
  ],
] as const)("no fault: %s", ([, pods]) => {
  expect(found(pods)).toEqual([]);
});
