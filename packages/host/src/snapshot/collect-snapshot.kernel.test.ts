import { createNetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { givenRules } from "../live-rules/read-live-rules.ts";
import { machineInside } from "../testing/machine/machine-inside.ts";
import { collectSnapshot } from "./collect-snapshot.ts";
import { readSnapshot } from "./read-snapshot.ts";

const reason = whyNoKernelTests([
  ...["ip", "bridge", "ss", "unshare", "nsenter", "nft", "conntrack", "ipset", "nfacct"],
  ...["iptables-nft-restore", "iptables-legacy-save"],
]);

const { signal } = new AbortController();
const OPTIONS = { signal, takenAt: "2026-01-02T03:04:05Z", hostname: "web1" };

const SET_UP = `
ip link add name br0 type bridge && ip addr add 10.5.0.1/24 dev br0 && ip link set br0 up
ip link add veth0 type veth peer name veth1 && ip link set veth0 master br0 && ip link set veth0 up
bridge link set dev veth0 hairpin on
ip neigh add 10.5.0.9 lladdr 02:00:00:00:00:09 dev br0 nud permanent
bridge fdb add 02:00:00:00:00:09 dev veth0 master static
ipset create KUBE-CLUSTER-IP hash:ip,port && ipset add KUBE-CLUSTER-IP 10.96.0.1,tcp:443
nfacct add counted
conntrack -I -p udp -t 300 -s 10.5.0.7 -d 10.96.0.10 --sport 1000 --dport 53 -r 10.5.0.9 -q 10.5.0.7 --reply-port-src 5353 --reply-port-dst 1000
conntrack -I -p udp -t 300 -s fd00::7 -d fd00:96::a --sport 1000 --dport 53 -r fd00::9 -q fd00::7 --reply-port-src 5353 --reply-port-dst 1000
`;

describe.skipIf(reason !== undefined)(`a snapshot of a host${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("has all that was set up there", async () => {
    await using namespace = await createNetworkNamespace();
    const done = await namespace.run("sh", ["-e", "-c", SET_UP]);
    expect(done.stderr.replaceAll(/^conntrack v.*\n/gm, "")).toBe("");
    await namespace.run("iptables-nft-restore", ["-c"], {
      input: "*filter\n:FORWARD ACCEPT [0:0]\n[3:180] -A FORWARD -d 10.0.0.1/32 -j DROP\nCOMMIT\n",
    });
    const { text, unread } = await collectSnapshot(machineInside(namespace), OPTIONS);
    expect(unread).toEqual([]);
    const snapshot = readSnapshot(text, { file: "web1.json" });
    expect(snapshot.links.find(({ name }) => name === "veth0")).toMatchObject({
      kind: "veth",
      master: "br0",
      hairpin: true,
      mtu: 1500,
      isUp: true,
    });
    expect(snapshot.links.find(({ name }) => name === "br0")?.received).toMatchObject({
      packets: expect.any(Number),
      dropped: 0,
    });
    expect(snapshot.neighbours).toContainEqual({
      address: "10.5.0.9",
      interface: "br0",
      mac: "02:00:00:00:00:09",
      states: ["PERMANENT"],
    });
    expect(snapshot.forwarding).toContainEqual(
      expect.objectContaining({ mac: "02:00:00:00:00:09", interface: "veth0", state: "static" }),
    );
    expect(Object.keys(snapshot.hostState.ipSets ?? {})).toEqual(["KUBE-CLUSTER-IP"]);
    expect(snapshot.accounting).toEqual([{ name: "counted", packets: 0, bytes: 0 }]);
    expect(snapshot.conntrack).toMatchObject({ count: 2, statistics: { drop: 0 } });
    expect(snapshot.conntrack.max).toBeGreaterThan(0);
    expect(snapshot.readUdpFlows().map(({ client, server }) => `${client} ${server}`)).toEqual([
      "10.5.0.7 10.5.0.9",
      "fd00::7 fd00::9",
    ]);
    expect(snapshot.counters).toMatchObject({
      IpInAddrErrors: 0,
      TcpExtListenOverflows: 0,
      Ip6InNoRoutes: expect.any(Number),
    });
    expect(snapshot.versions["kernel"]).toMatch(/^\d+\.\d+/);
    const rules = snapshot.rules === undefined ? [] : givenRules(snapshot.rules).rules(4).iptables;
    expect(rules.map(({ variant }) => variant)).toEqual(["nft"]);
    const counted = rules.flatMap(({ rules: { tables } }) =>
      tables.flatMap(({ chains }) => chains.flatMap((chain) => chain.rules.map(({ counters }) => counters))),
    );
    expect(counted).toEqual([{ packets: 3n, bytes: 180n }]);
  });

  test("names the sockets that listen, and the processes of the namespace alone", async () => {
    await using namespace = await createNetworkNamespace();
    const { text } = await collectSnapshot(machineInside(namespace), OPTIONS);
    const { sockets, processes } = readSnapshot(text, { file: "web1.json" });
    expect(sockets).toEqual([]);
    expect(processes.map(({ pid }) => pid)).toContain(namespace.pid);
    expect(processes.map(({ pid }) => pid)).not.toContain(1);
  });

  test("is taken without a change", async () => {
    await using namespace = await createNetworkNamespace();
    const seen = async () => {
      const rules = await namespace.run("nft", ["list", "ruleset"]);
      const legacy = await namespace.run("cat", ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"]);
      return rules.stdout + legacy.stdout;
    };
    const before = await seen();
    await collectSnapshot(machineInside(namespace), OPTIONS);
    expect(await seen()).toBe(before);
    expect(before).toBe("");
  });
});
