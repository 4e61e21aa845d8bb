import { describe, expect, test } from "vitest";
import { cidrContains, formatCidr, parseCidr, parseIpAddress, parseSocketAddress } from "./address.ts";

describe("parseIpAddress", () => {
  test.for([
    ["10.100.100.1", "10.100.100.1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ["1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"],
    ["fd00::10.5.75.2", "fd00::a05:4b02"],
    ["::ffff:192.168.1.6", "::ffff:192.168.1.6"],
  ] as const)("%s is read as %s", ([text, canonical]) => {
    expect(parseIpAddress(text)).toBe(canonical);
  });

  test.for([
    "",
    "10.0.0",
    "10.0.0.256",
    "010.0.0.1",
    "10.100.100.1.7070",
    "1::2::3",
    ":::",
    "1:2:3:4:5:6:7:8:9",
    "fe80::1%eth0",
    "::1.2.3.4:1",
  ])("%j is not an address", (text) => {
    expect(parseIpAddress(text)).toBeUndefined();
  });
});

test("a block loses its host bits and knows what lies in it", () => {
  const block = parseCidr("10.5.75.77/24");
  expect(block && formatCidr(block)).toBe("10.5.75.0/24");
  const inside = parseIpAddress("10.5.75.255");
  const outside = parseIpAddress("10.5.76.0");
  if (block === undefined || inside === undefined || outside === undefined) throw new Error("not read");
  expect([cidrContains(block, inside), cidrContains(block, outside)]).toEqual([true, false]);
});

test("an IPv6 socket address needs its brackets", () => {
  expect(parseSocketAddress("[fd00::2]:80")).toEqual({ address: "fd00::2", port: 80 });
  expect(parseSocketAddress("fd00::2:80")).toBeUndefined();
  expect(parseSocketAddress("10.0.0.1:0")).toBeUndefined();
});
