import { expect, test } from "vitest";
import {
  parseAccounting,
  parseBlockingPolicies,
  parseConntrackStatistics,
  parseIpvsServices,
  parseListedCounters,
  parsePairedCounters,
  parseSockets,
} from "./parse-tables.ts";

test("counters have the names that nstat gives them", () => {
  const snmp = "Ip: Forwarding InAddrErrors\nIp: 1 7\nTcp: ActiveOpens MaxConn\nTcp: 3 -1\n";
  expect(parsePairedCounters(snmp)).toEqual({ IpForwarding: 1, IpInAddrErrors: 7, TcpActiveOpens: 3, TcpMaxConn: -1 });
  expect(parseListedCounters("Ip6InReceives    \t12\nIp6InNoRoutes\t0\n")).toEqual({
    Ip6InReceives: 12,
    Ip6InNoRoutes: 0,
  });
});

test("what conntrack counts on each CPU is added up, but the number of entries, which is the same on all", () => {
  const text =
    "entries  found drop insert_failed\n0000000a  00000000 00000001 00000010\n0000000a  00000000 00000002 00000001\n";
  expect(parseConntrackStatistics(text)).toEqual({ entries: 10, found: 0, drop: 3, insert_failed: 17 });
  expect(parseConntrackStatistics("")).toEqual({});
});

test("accounting objects are read with and without a quota", () => {
  const text =
    "{ pkts = 00000000000000000012, bytes = 00000000000000000720 } = localhost_nps_accepted_pkts;\n" +
    "{ pkts = 00000000000000000001, bytes = 00000000000000000002, quota = 9, mode = packet, overquota = no } = of me;\n";
  expect(parseAccounting(text)).toEqual([
    { name: "localhost_nps_accepted_pkts", packets: 12, bytes: 720 },
    { name: "of me", packets: 1, bytes: 2 },
  ]);
});

test("IPsec policies that block are told from those that protect", () => {
  const text = `src 0.0.0.0/0 dst 10.5.88.0/24 
\tdir out action block priority 0 ptype main 
src 10.0.0.0/8 dst 10.5.88.0/24 
\tdir fwd priority 0 ptype main 
\ttmpl src 0.0.0.0 dst 0.0.0.0
src 192.0.2.1/32 dst 192.0.2.2/32 proto udp dport 8472 
\tdir in action block priority 0 
`;
  expect(parseBlockingPolicies(text)).toMatchObject([
    { source: { prefixLength: 0 }, destination: { address: "10.5.88.0", prefixLength: 24 }, direction: "out" },
    { source: { address: "192.0.2.1" }, direction: "in", upper: "proto udp dport 8472" },
  ]);
  expect(parseBlockingPolicies("")).toEqual([]);
});

test("sockets that listen have their backlog and every process that holds them", () => {
  const text = `udp UNCONN 0      0       127.0.0.53%lo:53         0.0.0.0:*    users:(("systemd-resolve",pid=631,fd=13))
tcp LISTEN 3      128           [fd00::1]:8080          [::]:*    users:(("nginx",pid=8,fd=6),("a \\"b",pid=9,fd=6))
tcp LISTEN 0      4096                  *:10256            *:*
raw UNCONN 0 0 0.0.0.0:1 0.0.0.0:*
`;
  expect(parseSockets(text)).toEqual([
    {
      ...{ protocol: "udp", address: "127.0.0.53", interface: "lo", port: 53, waiting: 0, backlog: 0 },
      holders: [{ pid: 631, command: "systemd-resolve" }],
    },
    {
      ...{ protocol: "tcp", address: "fd00::1", port: 8080, waiting: 3, backlog: 128 },
      holders: [
        { pid: 8, command: "nginx" },
        { pid: 9, command: 'a \\"b' },
      ],
    },
    { protocol: "tcp", port: 10256, waiting: 0, backlog: 4096, holders: [] },
  ]);
});

test("the services of IPVS are told from its real servers and heading", () => {
  const text =
    "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n" +
    "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\nTCP  0A600001:01BB rr\n  -> C0A84D01:192B      Masq    1      0          0\n";
  expect(parseIpvsServices(text)).toEqual(["TCP  0A600001:01BB rr"]);
});
