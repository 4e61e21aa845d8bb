import { expect, test, vi } from "vitest";
import type { PageEvent, ServiceState } from "../model.ts";
import { exampleViewed, FIREWALL, viewedOf } from "../testing/example-viewed.ts";
import { LocalData } from "./local-data.ts";

async function judged(data: LocalData, count: number): Promise<Readonly<Record<string, ServiceState>>> {
  const states: Record<string, ServiceState> = {};
  const stop = data.follow((event: PageEvent) => {
    if (event.kind === "judged") Object.assign(states, event.states);
  });
  await vi.waitFor(() => expect(Object.keys(states)).toHaveLength(count));
  stop();
  return states;
}

test("services whose rules do as planned are in force", async () => {
  expect(await judged(new LocalData(exampleViewed()), 2)).toEqual({
    "default/service1": { kind: "in-force" },
    "default/service2": { kind: "in-force" },
  });
});

test("a service that a firewall keeps from an endpoint has failed, and the rule is named", async () => {
  const states = await judged(new LocalData(exampleViewed({ extra: FIREWALL })), 2);
  expect(states["default/service1"]).toEqual({ kind: "in-force" });
  expect(states["default/service2"]?.kind).toBe("failed");
  expect(states["default/service2"]?.why).toMatch(/^From a pod to 10\.100\.100\.2:6060: dropped: .*FORWARD/);
});

test("a service whose answer gets lost has failed", async () => {
  const viewed = exampleViewed();
  const [host] = viewed.hosts;
  if (host === undefined) throw new Error("no host");
  // Who dials itself by the VIP gets an answer from an address that it did not dial.
  const texts = host.texts.map(({ file, text }) => ({ file, text: text.replaceAll(/.*-d 10.5.75.0.*\n/g, "") }));
  const states = await judged(new LocalData({ ...viewed, hosts: [{ ...host, texts }] }), 2);
  expect(states["default/service1"]?.why).toMatch(/^From a pod to 10\.100\.100\.1:7070: the answer is lost/);
});

test("what an agent found stands among the problems with evidence and remedy, and what every host says of itself once", async () => {
  const viewed = exampleViewed();
  const [host] = viewed.hosts;
  if (host === undefined) throw new Error("no host");
  const down = { code: "LINK_DOWN", severity: "error", subject: "link eth1", text: "eth1 is down" } as const;
  const empty = { code: "NO_READY_ENDPOINT", severity: "warning", subject: "service a/b", text: "nobody" } as const;
  const problems = [{ ...down, evidence: ["ip link: DOWN"], remedy: ["ip link set eth1 up"], hint: "look" }, empty];
  const state = await new LocalData({ ...viewed, hosts: [{ ...host, problems }] }).state();
  expect(state.problems).toEqual([
    { ...down, host: host.name, evidence: ["ip link: DOWN"], remedy: ["ip link set eth1 up"], hint: "look" },
  ]);
});

test("an unequal share is told in percent", async () => {
  const viewed = exampleViewed();
  const [host] = viewed.hosts;
  if (host === undefined) throw new Error("no host");
  const texts = host.texts.map(({ file, text }) => ({ file, text: text.replace("0.50000000000", "0.25000000000") }));
  const states = await judged(new LocalData({ ...viewed, hosts: [{ ...host, texts }] }), 2);
  expect(states["default/service1"]?.why).toContain("10.5.75.2:3000 gets 25 % of the connections, not 50 %");
});

test("rules that cannot be read leave a service undecided, and say why", async () => {
  const viewed = exampleViewed();
  const [host] = viewed.hosts;
  if (host === undefined) throw new Error("no host");
  const broken = { ...host, texts: [{ file: "rules.txt", text: "*nat\n-A NOWHERE -j DNAT\n" }] };
  const states = await judged(new LocalData({ ...viewed, hosts: [broken] }), 2);
  expect(states["default/service1"]?.kind).toBe("undecided");
  expect(states["default/service1"]?.why).toContain("NOWHERE");
});

test("a service shows who may dial what, and each rule that its packets meet, with its counters", async () => {
  const [view] = await new LocalData(exampleViewed()).service("default/service1");
  expect(view?.frontends.map(({ kind, address, port }) => `${kind} ${address}:${port}`)).toEqual([
    "clusterIP 10.100.100.1:7070",
    "nodePort 192.168.1.6:34211",
  ]);
  expect(view?.frontends[0]?.clients.pod).toEqual({ kind: "forward", endpoints: [0, 1] });
  expect(view?.frontends[0]?.examples.pod).toBe("10.5.75.2");
  const rules = (view?.rules ?? []).map(({ chain, number, packets }) => `${chain} ${number}: ${packets}`);
  expect(rules).toContain("KUBE-SVC-1 1: 4");
  expect(rules).toContain("KUBE-NODEPORTS 2: 0");
  expect(rules.some((rule) => rule.startsWith("KUBE-SVC-2"))).toBe(false);
  expect(new Set(rules).size).toBe(rules.length);
});

test("of nftables a service shows the elements at which its packets are found, with their counters", async () => {
  const text = `table ip own {
	map services {
		type ipv4_addr . inet_service : verdict
		elements = { 10.100.100.1 . 7070 counter packets 7 bytes 420 comment "default/service1" : goto service1,
			     10.100.100.2 . 6060 counter packets 5 bytes 300 comment "default/service2" : goto service2 }
	}
	chain service1 { dnat to 10.5.75.2:3000; }
	chain service2 { dnat to 10.5.75.3:3000; }
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		ip daddr . tcp dport vmap @services
	}
}`;
  const viewed = exampleViewed();
  const hosts = viewed.hosts.map((host) => ({ ...host, texts: [{ file: "nft.txt", text }] }));
  const [view] = await new LocalData({ ...viewed, hosts }).service("default/service1");
  expect(view?.elements).toEqual([
    {
      ...{ family: 4, table: "ip own", set: "services", element: "10.100.100.1 . 7070 : goto service1" },
      ...{ comment: "default/service1", packets: 7, bytes: 420 },
    },
  ]);
});

test.for([
  { packet: { from: "10.5.75.x", to: "10.100.100.1", port: 7070 }, says: '"10.5.75.x" is not an IP address' },
  { packet: { from: "10.5.75.2", to: "10.100.100.1", port: 70_000 }, says: "70000 is not a port" },
  { packet: { from: "10.5.75.2", to: "fd00::1", port: 80 }, says: "one is IPv4, the other IPv6" },
])("a packet that cannot be is refused: $says", async ({ packet, says }) => {
  await expect(new LocalData(exampleViewed()).trace({ host: "cloudos1", protocol: "tcp", ...packet })).rejects.toThrow(
    says,
  );
});

test("a packet is what svcproxy trace --json prints", async () => {
  const trace = await new LocalData(exampleViewed()).trace({
    ...{ host: "cloudos1", from: "10.5.75.2", to: "10.100.100.1", port: 7070, protocol: "tcp" },
  });
  expect(trace.branches.map(({ endpoint }) => endpoint).toSorted()).toEqual(["10.5.75.2:3000", "10.5.88.2:3000"]);
});

test("where no pods are named, a packet comes from the addresses that pods get", async () => {
  const data = new LocalData(
    viewedOf([{ name: "web", clusterIP: "10.96.0.1", ports: [{ port: 80 }], endpoints: ["10.9.9.9:80"] }]),
  );
  const [view] = await data.service("default/web");
  expect(view?.frontends.map(({ examples }) => examples.pod)).toEqual(["10.5.75.253"]);
});

test.for([
  [
    "masquerades what is masqueraded anyhow",
    "postrouting priority 100",
    "ip saddr 192.168.1.6 meta mark set 7 masquerade",
    "in-force",
  ],
  [
    "sends a VIP elsewhere",
    "output priority -100",
    "ip daddr 10.100.100.1 tcp dport 7070 dnat to 10.5.75.9:80",
    "undecided",
  ],
] as const)("beside a chain of the same priority that %s", async ([, hook, rule, kind]) => {
  const viewed = exampleViewed();
  const [host] = viewed.hosts;
  if (host === undefined) throw new Error("no host");
  const text = `table ip x {\n\tchain c {\n\t\ttype nat hook ${hook}; policy accept;\n\t\t${rule}\n\t}\n}\n`;
  const texts = [...host.texts, { file: "nft list ruleset", text }];
  const states = await judged(new LocalData({ ...viewed, hosts: [{ ...host, texts }] }), 2);
  expect(states["default/service1"]?.kind).toBe(kind);
  if (kind === "undecided") expect(states["default/service1"]?.why).toContain("is asked first is not known");
});
