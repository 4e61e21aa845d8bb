import type { MachineAddress } from "@svcproxy/host";
import { formatCidr, parseIpAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { sortAddresses } from "./host-addresses.ts";

function on(device: string, ...blocks: readonly string[]): readonly MachineAddress[] {
  return blocks.map((block) => {
    const [text = "", length = ""] = block.split("/");
    const address = parseIpAddress(text);
    if (address === undefined) throw new Error(`${text} is not an address`);
    return { device, address, prefixLength: Number(length), isLoopback: device === "lo" };
  });
}

test("the host's own are all addresses but loopback ones, link-local ones and VIPs, on whatever interface they are", () => {
  const machine = [
    ...on("lo", "127.0.0.1/8", "::1/128", "203.0.113.9/32"),
    ...on("eth0", "192.168.1.6/24", "fd00::6/64", "169.254.3.4/16", "fe80::6/64"),
    ...on("svcproxy0", "10.96.0.1/32"),
  ];
  const { all, own, interfaces } = sortAddresses(machine, { vipDevices: ["svcproxy0"] });
  expect(own).toEqual(["203.0.113.9", "192.168.1.6", "fd00::6"]);
  expect(all).toHaveLength(8);
  expect(interfaces.map(({ name, cidr }) => `${name} ${formatCidr(cidr)}`)).toEqual([
    "eth0 192.168.1.0/24",
    "eth0 fd00::/64",
  ]);
});
