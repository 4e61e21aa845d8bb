import { expect, test } from "vitest";
import { parseInterfaces, readAddresses } from "./addresses.ts";

test("addresses come with their device and the length of their prefix, as the kernel lists them", () => {
  const shared = { netmask: "", mac: "00:00:00:00:00:00" };
  expect(
    parseInterfaces({
      lo: [{ ...shared, address: "127.0.0.1", cidr: "127.0.0.1/8", internal: true, family: "IPv4" }],
      "eth0.100": [
        { ...shared, address: "fe80::6", cidr: "fe80::6/64", internal: false, family: "IPv6", scopeid: 2 },
        // Of a mask that is none, Node makes no block.
        { ...shared, address: "10.0.0.1", cidr: null, internal: false, family: "IPv4" },
      ],
    }),
  ).toEqual([
    { device: "lo", address: "127.0.0.1", prefixLength: 8, isLoopback: true },
    { device: "eth0.100", address: "fe80::6", prefixLength: 64, isLoopback: false },
    { device: "eth0.100", address: "10.0.0.1", prefixLength: 32, isLoopback: false },
  ]);
});

test("this machine has a loopback address", () => {
  const { addresses, fault } = readAddresses();
  expect(fault).toBeUndefined();
  expect(addresses).toContainEqual({ device: "lo", address: "127.0.0.1", prefixLength: 8, isLoopback: true });
});
