import { readSnapshot } from "@svcproxy/host";
import { parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { ObservedHost } from "../observation.ts";
import { checkOwnListeners } from "./check-own-listeners.ts";

const { topology } = parseTopology(
  Buffer.from(
    JSON.stringify({
      hosts: [
        { name: "one", address: "192.0.2.1" },
        { name: "two", address: "192.0.2.2" },
      ],
      services: [
        {
          ...{ name: "web", clusterIP: "10.100.0.1", ports: [{ port: 80, targetPort: 8080 }] },
          endpoints: ["192.0.2.1", "192.0.2.2"],
        },
      ],
    }),
  ),
  { file: "test" },
);
const plan = planHost(topology, { host: "one" });

/** What is told of host `one`, with these lines of `ss` and so many connections turned away. */
function told(sockets: string, { overflows = 0, unread = [] as readonly unknown[] } = {}): readonly string[] {
  const snapshot = {
    ...{ svcproxySnapshot: 1, route: { 4: [], 6: [] }, rule: { 4: [], 6: [] }, sysctls: {}, sockets, unread },
    addr: [{ ifname: "eth0", flags: ["UP"], addr_info: [{ family: "inet", local: "192.0.2.1", prefixlen: 24 }] }],
    netstat: `TcpExt: ListenOverflows\nTcpExt: ${overflows}\n`,
  };
  const at = new ObservedHost({ plan, snapshot: readSnapshot(JSON.stringify(snapshot), { file: "test" }) });
  return checkOwnListeners(at, plan.ports).map(({ code, subject, text }) => `${code} ${subject}: ${text}`);
}

test.for([
  ["all addresses", "tcp LISTEN 0 5 0.0.0.0:8080 0.0.0.0:*"],
  ["all addresses of both families", "tcp LISTEN 0 5 *:8080 *:*"],
  ["the host's address", "tcp LISTEN 0 5 192.0.2.1:8080 0.0.0.0:*"],
] as const)("a program that listens on %s serves", ([, sockets]) => {
  expect(told(sockets)).toEqual([]);
});

test.for([
  ["nobody", "", "no program of this host has the port"],
  ["another port", "tcp LISTEN 0 5 0.0.0.0:8081 0.0.0.0:*", "no program of this host has the port"],
  ["UDP", "udp UNCONN 0 0 0.0.0.0:8080 0.0.0.0:*", "no program of this host has the port"],
  ["loopback", "tcp LISTEN 0 5 127.0.0.1:8080 0.0.0.0:*", "it listens on 127.0.0.1:8080 only"],
] as const)("%s serves nobody", ([, sockets, instead]) => {
  expect(told(sockets)).toEqual([
    `NOTHING_LISTENS endpoint 192.0.2.1:8080: Nothing listens at 192.0.2.1:8080: ${instead}`,
  ]);
});

test("a full queue is told once connections were turned away; sockets that could not be read tell nothing", () => {
  const full = "tcp LISTEN 6 5 0.0.0.0:8080 0.0.0.0:*";
  expect(told(full)).toEqual([]);
  expect(told(full, { overflows: 3 })).toEqual([expect.stringMatching(/^LISTEN_QUEUE_FULL endpoint 192.0.2.1:8080:/)]);
  expect(told("tcp LISTEN 5 5 0.0.0.0:8080 0.0.0.0:*", { overflows: 3 })).toEqual([]);
  expect(told("", { unread: [{ part: "sockets", because: "ss is not here" }] })).toEqual([]);
});
