import { readSnapshot } from "@svcproxy/host";
import { parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { ObservedHost } from "../observation.ts";
import type { Leaving } from "../walk/stop.ts";
import { checkEndpoints, type EndpointSight } from "./check-endpoints.ts";

const TOPOLOGY = {
  hosts: [
    {
      ...{ name: "one", address: "192.0.2.1", podCIDR: "10.5.75.0/24" },
      pods: ["2", "3"].map((last) => ({ name: `p${last}`, address: `10.5.75.${last}:3000` })),
    },
    { name: "two", address: "192.0.2.2" },
  ],
  services: [{ name: "web", clusterIP: "10.100.0.1", ports: [{ port: 80 }], endpoints: ["p2", "p3"] }],
};
const { topology } = parseTopology(Buffer.from(JSON.stringify(TOPOLOGY)), { file: "test" });
const plan = planHost(topology, { host: "one" });

interface Pod {
  readonly addresses: readonly string[];
  readonly waiting?: number;
  readonly backlog?: number;
  readonly overflows?: number;
  readonly port?: number;
}

function hostWith(pods: readonly Pod[], neigh: readonly unknown[] = []): ObservedHost {
  const parts = {
    svcproxySnapshot: 1,
    ...{ addr: [], route: { 4: [], 6: [] }, rule: { 4: [], 6: [] }, sysctls: {}, neigh },
    pods: pods.map(({ addresses, waiting = 0, backlog, overflows = 0, port = 3000 }, index) => ({
      ...{ inode: index + 1, pid: index + 100, addresses, listenOverflows: overflows },
      listeners: [{ protocol: "tcp", port, waiting, ...(backlog === undefined ? {} : { backlog }) }],
    })),
  };
  return new ObservedHost({ plan, snapshot: readSnapshot(JSON.stringify(parts), { file: "test" }) });
}

function codes(at: ObservedHost, sight: EndpointSight = {}): readonly string[] {
  const ways = plan.ports.flatMap(({ reachableEndpoints }) =>
    reachableEndpoints.map(
      (endpoint): Leaving => ({
        ...{ at, endpoint, protocol: "tcp", source: "10.5.75.1", interface: "cni0", nextHop: endpoint.address },
        ...{ sufferer: { service: "default/web", client: "host", share: 0.5 }, prefixLength: 24 },
      }),
    ),
  );
  return checkEndpoints(ways, sight).map(({ code, subject }) => `${code} ${subject}`);
}

const SEEN = { addresses: ["10.5.75.2"] };
const reachable = { dst: "10.5.75.3", dev: "cni0", lladdr: "02:00:00:00:00:03", state: ["STALE"] };

test("an endpoint without a network namespace, as a virtual machine is one, is not gone as long as nobody dialled it in vain", () => {
  const at = hostWith([SEEN], [reachable]);
  expect(codes(at)).toEqual([]);
  expect(codes(at, { before: at })).toEqual(["POD_GONE endpoint 10.5.75.3:3000"]);
});

test("one that answers no ARP is gone, dialled or not", () => {
  const at = hostWith([SEEN], [{ dst: "10.5.75.3", dev: "cni0", state: ["FAILED"] }]);
  expect(codes(at)).toEqual(["POD_GONE endpoint 10.5.75.3:3000"]);
});

test("connections that wait, and others that were turned away once, are no full queue", () => {
  const pods = (overflows: number) => [SEEN, { addresses: ["10.5.75.3"], waiting: 2, overflows }];
  const before = hostWith(pods(7));
  expect(codes(before)).toEqual([]);
  expect(codes(hostWith(pods(7)), { before })).toEqual([]);
  expect(codes(hostWith(pods(9)), { before })).toEqual(["LISTEN_QUEUE_FULL endpoint 10.5.75.3:3000"]);
});

test("a queue that is full is told without a dial, once connections were turned away", () => {
  const queue = (waiting: number, backlog: number, overflows: number) =>
    codes(hostWith([SEEN, { addresses: ["10.5.75.3"], waiting, backlog, overflows }]));
  expect(queue(6, 5, 9)).toEqual(["LISTEN_QUEUE_FULL endpoint 10.5.75.3:3000"]);
  expect(queue(5, 5, 9)).toEqual([]);
  expect(queue(6, 5, 0)).toEqual([]);
});

test("what another host on the same machine has, and what two namespaces have, says nothing of a pod", () => {
  const other = { addresses: ["192.0.2.2", "10.5.75.3"], port: 1 };
  const twice = { addresses: ["10.5.75.3"], port: 1 };
  expect(codes(hostWith([SEEN, other], [reachable]))).toEqual([]);
  expect(codes(hostWith([SEEN, twice, twice], [reachable]))).toEqual([]);
  expect(codes(hostWith([SEEN, twice], [reachable]))).toEqual(["NOTHING_LISTENS endpoint 10.5.75.3:3000"]);
});
