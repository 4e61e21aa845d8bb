import { type HostPlan, parseIpAddress, parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { MemoryMachine } from "../testing/machine/memory-machine.ts";
import type { Listener } from "./listeners.ts";
import { withoutTakenNodePorts } from "./taken-node-ports.ts";

function plan(node = ""): HostPlan {
  const text = `
hosts: [{ name: a, addresses: [10.0.0.1, "fd00::1"] }]
services:
  - { name: ssh, clusterIPs: [10.50.0.1, "fd00:9::1"], ports: [{ port: 80, nodePort: 22 }], endpoints: ["10.0.0.2:80"] }
  - { name: dns, clusterIP: 10.50.0.2, ports: [{ port: 53, protocol: UDP, nodePort: 53 }], endpoints: ["10.0.0.2:53"] }
${node}`;
  return planHost(parseTopology(new TextEncoder().encode(text), { file: "t.yaml" }).topology, { host: "a" });
}

type Socket = Pick<Listener, "protocol" | "port"> & { readonly address?: string };

function machineWith(...sockets: readonly Socket[]): MemoryMachine {
  const machine = new MemoryMachine();
  for (const [index, { address: text = "0.0.0.0", protocol, port }] of sockets.entries()) {
    const address = parseIpAddress(text);
    if (address === undefined) throw new TypeError(text);
    machine.listeners.push({ protocol, port, address, inode: index + 1 });
    machine.holders.set(index + 1, { pid: 812 + index, command: "sshd" });
  }
  return machine;
}

async function nodePortsLeft(
  machine: MemoryMachine,
  options: { node?: string; takePorts?: number[]; takesLoopback?: boolean } = {},
) {
  const { node, takePorts = [], ...rest } = options;
  const left = await withoutTakenNodePorts(plan(node), { machine, takePorts: new Set(takePorts), ...rest });
  return left.plan.ports.flatMap(({ family, frontends }) =>
    frontends.flatMap(({ kind, port }) => (kind === "nodePort" ? [`${port} IPv${family}`] : [])),
  );
}

test("a NodePort that a program listens on is left out in its family, with the program's name; the rest stays", async () => {
  const asked = plan();
  const left = await withoutTakenNodePorts(asked, { machine: machineWith({ protocol: "tcp", port: 22 }) });
  const [ssh4, ssh6, dns] = left.plan.ports;
  expect(ssh4?.frontends.map(({ kind }) => kind)).toEqual(["clusterIP"]);
  expect([ssh6, dns]).toEqual([asked.ports[1], asked.ports[2]]);
  expect([...left.taken]).toEqual([
    [
      "default/ssh 0 4",
      {
        ...{ code: "NODE_PORT_TAKEN", severity: "error", subject: "NodePort 22/tcp of default/ssh" },
        text: "NodePort 22/tcp of default/ssh is left out, because sshd (pid 812) listens on it: 0.0.0.0:22",
        hint: "Give the service another NodePort, or take this one away from the program with --take-port 22",
      },
    ],
  ]);
});

test("where nobody listens on one, the plan is the same object", async () => {
  const asked = plan();
  expect((await withoutTakenNodePorts(asked, { machine: machineWith({ protocol: "tcp", port: 80 }) })).plan).toBe(
    asked,
  );
  expect((await withoutTakenNodePorts(asked, { machine: machineWith({ protocol: "udp", port: 22 }) })).plan).toBe(
    asked,
  );
});

test.for([
  { name: "every IPv6 address, which may be IPv4 too", address: "::", left: ["53 IPv4"] },
  { name: "the host's own address", address: "10.0.0.1", left: ["22 IPv6", "53 IPv4"] },
  { name: "its IPv6 address", address: "fd00::1", left: ["22 IPv4", "53 IPv4"] },
  { name: "loopback, which serves no NodePort", address: "127.0.0.1", left: ["22 IPv4", "22 IPv6", "53 IPv4"] },
])("a program on $name", async ({ address, left }) => {
  expect(await nodePortsLeft(machineWith({ protocol: "tcp", port: 22, address }))).toEqual(left);
});

test("a program on loopback loses a NodePort that is served there", async () => {
  const machine = machineWith({ protocol: "tcp", port: 22, address: "127.0.0.1" });
  expect(await nodePortsLeft(machine, { takesLoopback: true })).toEqual(["22 IPv6", "53 IPv4"]);
  expect(await nodePortsLeft(machine, { node: "node: { localhostNodePorts: true }" })).toEqual(["22 IPv6", "53 IPv4"]);
});

test("one on an address that serves no NodePort loses nothing", async () => {
  const machine = machineWith({ protocol: "tcp", port: 22, address: "10.0.0.1" });
  const node = "node: { nodePortAddresses: [192.0.2.0/24] }";
  expect(await nodePortsLeft(machine, { node })).toEqual(["22 IPv4", "22 IPv6", "53 IPv4"]);
});

test("a port that is to be taken is served", async () => {
  const machine = machineWith({ protocol: "tcp", port: 22 }, { protocol: "udp", port: 53 });
  expect(await nodePortsLeft(machine, { takePorts: [22] })).toEqual(["22 IPv4", "22 IPv6"]);
});

test("a socket that is closed while its holder is looked for takes nothing; one of a program that this user may not see does", async () => {
  for (const { closes, left } of [
    { closes: true, left: ["22 IPv4", "22 IPv6", "53 IPv4"] },
    { closes: false, left: ["22 IPv6", "53 IPv4"] },
  ]) {
    const machine = machineWith({ protocol: "tcp", port: 22 });
    machine.holders.clear();
    const { readHolders } = machine;
    machine.readHolders = (inodes) => {
      if (closes) machine.listeners.length = 0;
      return readHolders.call(machine, inodes);
    };
    expect(await nodePortsLeft(machine)).toEqual(left);
  }
});
