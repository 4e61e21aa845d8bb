import type { NetworkInterfaceInfo } from "node:os";
import { formatCidr } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { readLocalAddresses } from "./host-addresses.ts";

function entry(cidr: string, internal = false): NetworkInterfaceInfo {
  const [address = ""] = cidr.split("/");
  const shared = { address, cidr, netmask: "", mac: "00:00:00:00:00:00", internal };
  return address.includes(":") ? { ...shared, family: "IPv6", scopeid: 0 } : { ...shared, family: "IPv4" };
}

test("the host's own are all addresses but loopback ones, link-local ones and VIPs, on whatever interface they are", () => {
  const machine = {
    lo: [entry("127.0.0.1/8", true), entry("::1/128", true), entry("203.0.113.9/32", true)],
    eth0: [entry("192.168.1.6/24"), entry("fd00::6/64"), entry("169.254.3.4/16"), entry("fe80::6/64")],
    svcproxy0: [entry("10.96.0.1/32")],
  };
  const { all, own, interfaces } = readLocalAddresses({ vipDevices: ["svcproxy0"] }, machine);
  expect(own).toEqual(["203.0.113.9", "192.168.1.6", "fd00::6"]);
  expect(all).toHaveLength(8);
  expect(interfaces.map(({ name, cidr }) => `${name} ${formatCidr(cidr)}`)).toEqual([
    "eth0 192.168.1.0/24",
    "eth0 fd00::/64",
  ]);
});
