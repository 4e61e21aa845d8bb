import { describe, expect, test } from "vitest";
import { parseIpAddress } from "../address.ts";
import { InputError } from "../errors.ts";
import { swallowedPort } from "../explain-address.ts";
import { parseTopology } from "./parse-topology.ts";

test.for([
  ["fd00::1:80", "fd00::1", 80],
  ["::1:8080", "::1", 8080],
  ["fd00:5::2:9999", "fd00:5::2", 9999],
  // Without their last group these are not addresses, so nobody can mean that.
  ["fd00:10:244::12", undefined, undefined],
  ["fd00::80", undefined, undefined],
  ["fd00:1:2:3:4:5:6:80", undefined, undefined],
  // And these last groups are not ports.
  ["fd00::1:8a", undefined, undefined],
  ["fd00::1:0", undefined, undefined],
  ["10.0.0.1", undefined, undefined],
] as const)("%s may be meant as address %s and port %s", ([text, address, port]) => {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new Error("no address");
  expect(swallowedPort(parsed)).toEqual(address === undefined ? undefined : { address, port });
});

interface Written {
  readonly podCIDR?: string;
  readonly pod: string;
  readonly vips?: string;
  readonly port?: string;
  readonly endpoint?: string;
}

function faultsOf({ podCIDR = "fd00:5::/64", pod, vips = '"fd00:9::1"', port = "port: 80", endpoint = "p" }: Written) {
  const text = `hosts:
  - name: h
    addresses: [192.168.0.1, "fd00:1::1"]
    podCIDRs: [10.5.0.0/24, "${podCIDR}"]
    pods:
      - name: p
        ${pod}
services:
  - name: s
    clusterIPs: [${vips}]
    ports: [{ ${port} }]
    endpoints: [${endpoint}]
`;
  try {
    return parseTopology(new TextEncoder().encode(text), { file: "t.yaml" }).warnings;
  } catch (error) {
    if (error instanceof InputError) return error.faults;
    throw error;
  }
}

describe("a port that an IPv6 address swallowed", () => {
  test.for([
    {
      name: "is hinted at where the port is missed",
      written: { pod: 'address: "fd00:5::2:80"' },
      expected: ["error NO_TARGET_PORT 12:17"],
    },
    {
      name: "is warned of where targetPort says the same",
      written: { pod: 'address: "fd00:5::2:80"', port: "port: 8000, targetPort: 80" },
      expected: ["warning PORT_IN_ADDRESS 7:18"],
    },
    {
      name: "is warned of where the pod's other address has that port",
      written: {
        pod: 'addresses: ["10.5.0.2:80", "fd00:5::2:80"]',
        vips: '10.100.0.1, "fd00:9::1"',
        port: "port: 8000, targetPort: 8080",
      },
      expected: ["warning PORT_IN_ADDRESS 6:9"],
    },
    {
      name: "is warned of in an endpoint that runs on no host",
      written: { pod: 'address: "[fd00:5::2]:80"', port: "port: 80, targetPort: 80", endpoint: '"fd00:7::2:80"' },
      expected: ["warning PORT_IN_ADDRESS 12:17"],
    },
    {
      name: "is hinted at where the address is outside of its podCIDR because of it",
      written: { podCIDR: "fd00:5::/112", pod: 'address: "fd00:5::2:80"', port: "port: 1, targetPort: 2" },
      expected: ["warning POD_OUTSIDE_CIDR 7:18"],
    },
    {
      name: "is warned of in a VIP that ends in its service's port",
      written: { pod: 'address: "[fd00:5::2]:80"', vips: '"fd00:9::1:80"' },
      expected: ["warning PORT_IN_ADDRESS 10:18"],
    },
  ])("$name", ({ written, expected }) => {
    const faults = faultsOf(written);
    expect(faults.map(({ severity, code, at }) => `${severity} ${code} ${at?.line}:${at?.column}`)).toEqual(expected);
    expect(faults[0]?.hint).toMatch(/If (port 80|fd00:9::1) is meant, write/);
  });

  test.for([
    { name: "another port", written: { pod: 'address: "fd00:5::2:80"', port: "port: 80, targetPort: 8080" } },
    { name: "no such form", written: { pod: 'address: "fd00:5::80"', port: "port: 80, targetPort: 80" } },
    { name: "brackets", written: { pod: 'address: "[fd00:5::2:80]:80"', port: "port: 80, targetPort: 80" } },
    { name: "a VIP with another port", written: { pod: 'address: "[fd00:5::2]:80"', vips: '"fd00:9::1:81"' } },
  ])("is not suspected in an honest address: $name", ({ written }) => {
    expect(faultsOf(written)).toEqual([]);
  });
});
