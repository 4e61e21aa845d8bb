import { parseIpAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { commandForVips } from "./vip-problems.ts";

const addresses = (...texts: readonly string[]) => texts.map(parseIpAddress).filter((address) => address !== undefined);

test.for([
  { name: "nothing to help with", vips: [], command: undefined },
  { name: "one VIP", vips: addresses("10.96.0.1"), command: "sudo ip address add 10.96.0.1/32 dev lo" },
  {
    name: "a few VIPs of both families",
    vips: addresses("10.96.0.1", "fd00::1"),
    command: 'for vip in 10.96.0.1/32 fd00::1/128; do sudo ip address add "$vip" dev lo; done',
  },
  {
    name: "many VIPs share a route",
    vips: addresses(...Array.from({ length: 40 }, (_, index) => `10.96.1.${index}`)),
    command: "sudo ip -4 route add local 10.96.1.0/26 dev lo",
  },
  {
    name: "many VIPs of both families",
    vips: addresses(...Array.from({ length: 17 }, (_, index) => `10.96.1.${index}`), "fd00::1", "fd00::2"),
    command:
      "sudo ip -4 route add local 10.96.1.0/27 dev lo && sudo ip -6 route add local fd00::/126 dev lo && sudo sysctl -w net.ipv6.ip_nonlocal_bind=1",
  },
  {
    name: "many VIPs far apart get a block each, never one that holds them all",
    vips: addresses(
      ...Array.from({ length: 16 }, (_, index) => `10.96.1.${index}`),
      "203.0.113.7",
      "fd00::1",
      "2001:db8::1",
    ),
    command:
      "sudo ip -4 route add local 10.96.1.0/28 dev lo && sudo ip -4 route add local 203.0.113.7/32 dev lo && sudo ip -6 route add local fd00::1/128 dev lo && sudo ip -6 route add local 2001:db8::1/128 dev lo && sudo sysctl -w net.ipv6.ip_nonlocal_bind=1",
  },
])("$name", ({ vips, command }) => {
  expect(commandForVips(vips)).toBe(command);
});
