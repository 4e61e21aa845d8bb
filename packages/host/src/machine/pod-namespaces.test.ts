import { formatCidr } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { parseSocketTable, routesOfV6 } from "./pod-namespaces.ts";

test("sockets that listen are told with their address and queue; others are passed over", () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0BB9 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 024B050A:0050 034B050A:9C40 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
`;
  expect(parseSocketTable(table, "tcp")).toEqual([
    { protocol: "tcp", port: 3001, waiting: 0, address: "127.0.0.1" },
    { protocol: "tcp", port: 80, waiting: 3 },
  ]);
});

test("an IPv6 address is told as it is, and one that stands for IPv4 as that", () => {
  const table = `  sl  local_address
   0: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 000000FD00000000000000000A000000:0051 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 00000000000000000000000000000000:0052 00000000000000000000000000000000:0000 0A 00000000:00000000
`;
  expect(parseSocketTable(table, "tcp").map(({ address, port }) => `${address} ${port}`)).toEqual([
    "127.0.0.1 80",
    "fd00::a 81",
    "undefined 82",
  ]);
});

test("a way for IPv6 packets is told from routes that refuse, and from those of lo", () => {
  const zero = "0".repeat(32);
  const pods = "fd000005007500000000000000000000";
  const line = (to: string, length: string, flags: string, device: string) =>
    `${to} ${length} ${zero} 00 ${zero} 00000400 00000001 00000000 ${flags} ${device}`.concat("\n");
  const text =
    line(pods, "40", "00000001", "eth0") + line(zero, "00", "00000007", "eth0") + line(zero, "00", "00200200", "lo");
  expect(routesOfV6(text).map(formatCidr)).toEqual(["fd00:5:75::/64", "::/0"]);
  expect(routesOfV6("")).toEqual([]);
});
