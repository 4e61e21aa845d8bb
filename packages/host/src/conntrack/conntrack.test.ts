import { parseIpAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { parseConntrackEntry } from "./conntrack.ts";

test.for([
  {
    name: "a UDP flow that is translated",
    line: "udp      17 29 src=10.9.0.1 dst=10.100.0.2 sport=40000 dport=53 [UNREPLIED] src=10.5.75.2 dst=10.9.0.1 sport=3000 dport=40000 mark=0 use=1",
    entry: ["udp", "10.9.0.1", 40000, "10.100.0.2", 53, "10.5.75.2", 3000],
  },
  {
    name: "a TCP connection, which has a state",
    line: "tcp      6 431999 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 [ASSURED] use=1",
    entry: ["tcp", "1.1.1.1", 1, "2.2.2.2", 2, "2.2.2.2", 2],
  },
  {
    name: "IPv6",
    line: "udp      17 60 src=fd00::2 dst=fd00::1 sport=1001 dport=53 src=fd00::9 dst=fd00::2 sport=5353 dport=1001 mark=0 use=1",
    entry: ["udp", "fd00::2", 1001, "fd00::1", 53, "fd00::9", 5353],
  },
] as const)("$name is read", ({ line, entry }) => {
  const [protocol, client, clientPort, destination, destinationPort, server, serverPort] = entry;
  expect(parseConntrackEntry(line)).toEqual({
    ...{ protocol, client: parseIpAddress(client), clientPort, server: parseIpAddress(server), serverPort },
    ...{ destination: parseIpAddress(destination), destinationPort },
  });
});

test.for([
  "",
  "icmp     1 29 src=1.1.1.1 dst=2.2.2.2 type=8 code=0 id=1 src=2.2.2.2 dst=1.1.1.1 type=0 code=0 id=1",
  "udp 17 src=x",
])("what has no ports is passed over: %s", (line) => {
  expect(parseConntrackEntry(line)).toBeUndefined();
});
