import { loadEntry } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { readFlannelHosts } from "./flannel-hosts.ts";
import { mergeHosts } from "./merge-hosts.ts";

test("flannel's leases are hosts, of one family or two", () => {
  const { hosts, unread } = readFlannelHosts([
    lease("10.5.75.0-24", { PublicIP: "192.168.1.6", PublicIPv6: null, BackendType: "vxlan" }),
    lease("10.5.88.0-24&fd00:0:0:88::-64", { PublicIP: "192.168.1.7", PublicIPv6: "fd00:1::7" }),
    lease("nonsense", { PublicIP: "192.168.1.8" }),
    lease("10.5.90.0-24", { PublicIP: "there" }),
  ]);
  expect(hosts).toMatchObject([
    { addresses: ["192.168.1.6"], podCIDRs: ["10.5.75.0/24"] },
    { addresses: ["192.168.1.7", "fd00:1::7"], podCIDRs: ["10.5.88.0/24", "fd00:0:0:88::/64"] },
  ]);
  expect(unread).toHaveLength(2);
});

test("a host with an entry gets what that lacks; what it says itself counts; the rest are hosts by their address", () => {
  const own = [
    entry("web1", "address: 192.168.1.6\nzone: a"),
    entry("web2", "podCIDR: 10.5.88.0/24"),
    entry("web3", "address: 192.168.1.8\npodCIDR: 10.9.0.0/24"),
  ];
  const { hosts } = readFlannelHosts([
    lease("10.5.75.0-24", { PublicIP: "192.168.1.6" }),
    lease("10.5.88.0-24", { PublicIP: "192.168.1.7" }),
    lease("10.5.90.0-24", { PublicIP: "192.168.1.8" }),
    lease("10.5.91.0-24", { PublicIP: "192.168.1.9" }),
  ]);
  const merged = mergeHosts(own, hosts);
  expect(merged.entries.map(({ key, value }) => [key.kind === "host" && key.name, value])).toEqual([
    ["web1", { address: "192.168.1.6", zone: "a", podCIDRs: ["10.5.75.0/24"] }],
    ["web2", { podCIDR: "10.5.88.0/24", addresses: ["192.168.1.7"] }],
    ["web3", { address: "192.168.1.8", podCIDR: "10.9.0.0/24" }],
    ["192.168.1.9", { addresses: ["192.168.1.9"], podCIDRs: ["10.5.91.0/24"] }],
  ]);
  expect(merged.problems).toMatchObject([{ code: "FLANNEL_LEASE", subject: "host web3" }]);
});

function lease(name: string, value: object) {
  const key = `/coreos.com/network/subnets/${name}`;
  return { key, value: Buffer.from(JSON.stringify(value)), modRevision: 1, lease: "1" };
}

function entry(name: string, text: string) {
  return loadEntry({ key: { kind: "host", name }, label: name, bytes: Buffer.from(text) });
}
