import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import process from "node:process";
import { type IpAddress, parseIpAddress } from "@svcproxy/topology";
import { expect, onTestFinished, test } from "vitest";
import { type Listener, listenersAt, parseListeners, readListeners } from "./listeners.ts";
import { thisMachine } from "./machine.ts";
import { findPortHolder } from "./port-holder.ts";

const HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

test("what listens is read from the kernel's tables, and what is connected is not", () => {
  const tcp = [
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0",
    "   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0",
  ];
  expect(parseListeners(HEAD + tcp.join("\n"), { protocol: "tcp", family: 4 })).toEqual([
    { protocol: "tcp", address: "127.0.0.1", port: 8080, inode: 4711 },
  ]);
  const udp6 = [
    "   0: 000080FE00000000FF005450B6AD1DFE:0222 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12 2 0 0",
    "   1: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 13 2 0 0",
    "   2: 0000000000000000FFFF00000100007F:0036 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 14 2 0 0",
  ];
  expect(parseListeners(HEAD + udp6.join("\n"), { protocol: "udp", family: 6 })).toEqual([
    { protocol: "udp", address: "fe80::5054:ff:fe1d:adb6", port: 546, inode: 12 },
    { protocol: "udp", address: "::", port: 53, inode: 13 },
    { protocol: "udp", address: "::ffff:127.0.0.1", port: 54, inode: 14 },
  ]);
  expect(parseListeners("", { protocol: "tcp", family: 4 })).toEqual([]);
});

test.for([
  { wanted: "10.0.0.1", taken: ["10.0.0.1", "0.0.0.0", "::ffff:10.0.0.1", "::"] },
  { wanted: "fd00::1", taken: ["fd00::1", "::"] },
])("$wanted is taken by whoever listens on it or on every address", ({ wanted, taken }) => {
  const all = ["10.0.0.1", "10.0.0.2", "0.0.0.0", "::ffff:10.0.0.1", "fd00::1", "fd00::2", "::"];
  const listeners = all.map((text, inode): Listener => ({ protocol: "tcp", address: address(text), port: 80, inode }));
  const found = listenersAt(listeners, { protocol: "tcp", address: address(wanted), port: 80 });
  expect(found.map((listener) => listener.address)).toEqual(taken);
  expect(listenersAt(listeners, { protocol: "tcp", address: address(wanted), port: 81 })).toEqual([]);
  expect(listenersAt(listeners, { protocol: "udp", address: address(wanted), port: 80 })).toEqual([]);
});

test("this process is found by what it listens on, over TCP and UDP", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  onTestFinished(() => {
    server.close();
    socket.close();
  });
  await Promise.all([once(server, "listening"), once(socket, "listening")]);
  const ports = { tcp: portOf(server.address()), udp: socket.address().port };
  const listeners = await readListeners();
  for (const protocol of ["tcp", "udp"] as const) {
    const wanted = { protocol, address: address("127.0.0.1"), port: ports[protocol] };
    expect(listenersAt(listeners, wanted)).toHaveLength(1);
    expect(await findPortHolder(thisMachine, wanted)).toMatchObject({ pid: process.pid });
  }
});

test("each of many listeners is found, beside connections that come behind them", async () => {
  const servers = Array.from({ length: 70 }, () => createServer().listen(0, "127.0.0.1"));
  onTestFinished(() => {
    for (const server of servers) server.close();
  });
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => portOf(server.address()));
  const [first = 0] = ports;
  const clients = Array.from({ length: 50 }, () => connect(first, "127.0.0.1"));
  onTestFinished(() => {
    for (const client of clients) client.destroy();
  });
  await Promise.all(clients.map((client) => once(client, "connect")));
  const found = (await readListeners()).filter(({ protocol }) => protocol === "tcp");
  expect(ports.filter((port) => !found.some((listener) => listener.port === port))).toEqual([]);
  expect(found.filter(({ port }) => port === first)).toHaveLength(1);
});

function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new TypeError(`not an address: ${text}`);
  return parsed;
}

function portOf(bound: AddressInfo | string | null): number {
  if (bound === null || typeof bound === "string") throw new TypeError("it listens on no port");
  return bound.port;
}
