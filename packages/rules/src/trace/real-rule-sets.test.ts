import { readFileSync } from "node:fs";
import { parseIpAddress } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { readHostState } from "../host/read-host-state.ts";
import { formatSave } from "../rule-sets/format-restore.ts";
import { parseSave } from "../rule-sets/parse-save.ts";
import { traceToJson } from "./report/trace-json.ts";
import { createTracer } from "./trace-packet.ts";

const read = (name: string) => readFileSync(new URL(`../../fixtures/hosts/${name}.rules`, import.meta.url), "utf8");

/** A host with an uplink and one bridge. */
function hostWith(bridge: string, address: string, prefixlen: number) {
  const state = {
    addr: [
      { ifname: "lo", link_type: "loopback", addr_info: [{ local: "127.0.0.1", prefixlen: 8, scope: "host" }] },
      { ifname: "eth0", addr_info: [{ local: "192.168.1.6", prefixlen: 24 }] },
      { ifname: bridge, linkinfo: { info_kind: "bridge" }, addr_info: [{ local: address, prefixlen }] },
    ],
    route: [
      { dst: "default", gateway: "192.168.1.1", dev: "eth0" },
      { dst: "192.168.1.0/24", dev: "eth0" },
      { dst: `${address.replace(/\.\d+$/, ".0")}/${prefixlen}`, dev: bridge },
      { dst: "10.5.88.0/24", gateway: "10.5.88.0", dev: "eth0" },
    ],
    sysctls: {
      "net.ipv4.ip_forward": "1",
      "net.ipv4.conf.all.rp_filter": "1",
      "net.bridge.bridge-nf-call-iptables": "1",
    },
  };
  return readHostState(JSON.stringify(state), { file: "state" });
}

const HOSTS = {
  docker: hostWith("br-e0c3e4c46a1f", "172.18.0.1", 16),
  ufw: hostWith("br0", "10.0.0.1", 24),
  libvirt: hostWith("virbr0", "192.168.122.1", 24),
  firewalld: hostWith("br0", "10.0.0.1", 24),
  "kubernetes-node": hostWith("cni0", "10.5.75.1", 24),
} as const;
const NAMES = ["docker", "ufw", "libvirt", "firewalld", "kubernetes-node"] as const;

describe("a host's own rules", () => {
  test.for(NAMES)("%s: are read without loss, and nothing in them is unknown", (name) => {
    const text = read(name);
    const rules = parseSave(text, { family: 4 });
    expect(formatSave(rules)).toBe(text.replaceAll(/\[\d+:\d+\]/g, "[0:0]"));
    for (const table of rules.tables) {
      for (const { matches, target } of table.chains.flatMap((chain) => chain.rules))
        expect([target.kind, ...matches.map(({ kind }) => kind)]).not.toContain("unknown");
    }
  });

  test.for([
    {
      host: "docker",
      from: "192.168.1.9",
      to: "192.168.1.6",
      port: 8080,
      says: "accepted at 172.18.0.2:80 from 192.168.1.9",
    },
    {
      host: "docker",
      from: "192.168.1.9",
      to: "172.18.0.2",
      port: 81,
      says: "dropped: the policy of filter FORWARD is DROP",
    },
    { host: "docker", from: "172.18.0.2", to: "8.8.8.8", port: 53, says: "untouched at 8.8.8.8:53 from 192.168.1.6" },
    {
      host: "ufw",
      from: "192.168.1.9",
      to: "192.168.1.6",
      port: 22,
      says: "untouched at 192.168.1.6:22 from 192.168.1.9",
    },
    {
      host: "ufw",
      from: "192.168.1.9",
      to: "192.168.1.6",
      port: 25,
      says: "refused: rule 6 of filter ufw-user-input (tcp-reset)",
    },
    {
      host: "ufw",
      from: "192.168.1.9",
      to: "192.168.1.6",
      port: 80,
      says: "dropped: the policy of filter INPUT is DROP",
    },
    {
      host: "ufw",
      from: "192.168.1.9",
      to: "192.168.1.6",
      port: 2222,
      says: /^undecided: .*rule 3 of filter ufw-user-input: -m recent --update/,
    },
    {
      host: "libvirt",
      from: "192.168.1.9",
      to: "192.168.122.10",
      port: 80,
      says: "refused: rule 2 of filter LIBVIRT_FWI (icmp-port-unreachable)",
    },
    {
      host: "libvirt",
      from: "192.168.122.10",
      to: "8.8.8.8",
      port: 443,
      says: "untouched at 8.8.8.8:443 from 192.168.1.6",
    },
    {
      host: "firewalld",
      from: "192.168.1.9",
      to: "192.168.1.6",
      port: 80,
      says: "untouched at 192.168.1.6:80 from 192.168.1.9",
    },
    {
      host: "firewalld",
      from: "192.168.1.9",
      to: "192.168.1.6",
      port: 81,
      says: "refused: rule 9 of filter IN_public (icmp-port-unreachable)",
    },
    {
      host: "firewalld",
      from: "192.168.1.9",
      to: "192.168.1.6",
      port: 8080,
      says: "accepted at 10.9.9.9:80 from 192.168.1.6",
    },
    {
      host: "kubernetes-node",
      from: "10.5.75.3",
      to: "10.100.100.1",
      port: 7070,
      says: "accepted at 10.5.75.2:3000 from 10.5.75.3 | accepted at 10.5.88.2:3000 from 10.5.75.3",
    },
    {
      host: "kubernetes-node",
      from: "192.168.1.9",
      to: "192.168.1.6",
      port: 34211,
      says: "accepted at 10.5.75.2:3000 from 10.5.75.1 | accepted at 10.5.88.2:3000 from 192.168.1.6",
    },
    {
      host: "kubernetes-node",
      from: "10.5.75.3",
      to: "8.8.8.8",
      port: 53,
      says: "untouched at 8.8.8.8:53 from 192.168.1.6",
    },
  ] as const)("$host: $from to $to:$port: $says", ({ host, from, to, port, says }) => {
    const tracer = createTracer({ rules: parseSave(read(host), { family: 4 }), hostState: HOSTS[host] });
    const [source, destination] = [parseIpAddress(from), parseIpAddress(to)];
    if (source === undefined || destination === undefined) throw new TypeError("no address");
    const { branches } = traceToJson(tracer.trace({ from: source, to: destination, port, sourcePort: 40000 }));
    const told = branches.map(({ verdict, endpoint, source: seen, because, undecidedBy }) =>
      endpoint === null
        ? `${verdict}: ${undecidedBy ?? because}`
        : `${verdict} at ${endpoint} from ${seen?.replace(/:\d+$/, "")}`,
    );
    expect([...new Set(told)].sort().join(" | ")).toEqual(
      typeof says === "string" ? says : expect.stringMatching(says),
    );
  });
});
