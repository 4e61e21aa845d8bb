import { readFileSync } from "node:fs";
import { parseIpAddress, parseTopology } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { hostStateOf } from "../../host/host-state-of.ts";
import { createTracer } from "../../trace/trace-packet.ts";
import { parseNft } from "../parse-nft.ts";

const read = (path: string) => readFileSync(new URL(path, import.meta.url));
const { topology } = parseTopology(read("../../../../../examples/cloudos.yaml"), { file: "cloudos.yaml" });

function tracerOf(text: string, family: 4 | 6 = 4) {
  const rules = { family, iptables: [], nft: parseNft(text), unread: [] };
  return createTracer({ rules, hostState: hostStateOf(topology, { host: "cloudos1" }) });
}

function address(text: string) {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new TypeError(`no address: ${text}`);
  return parsed;
}

/** `1/2 accepted 10.5.88.2:3000 as 10.5.75.2` of each branch. */
function fates(tracer: ReturnType<typeof tracerOf>, [from, to, port]: readonly [string, string, number]) {
  return tracer.trace({ from: address(from), to: address(to), port }).branches.map((branch) => {
    if (branch.kind === "undecided") return `undecided: ${branch.question.because}`;
    const { verdict, destination, source } = branch.outcome;
    const chance = Number(branch.probability.numerator) / 2 ** branch.probability.bits;
    if (branch.outcome.endpoint === undefined) return `${chance.toFixed(3)} ${verdict}`;
    return `${chance.toFixed(3)} ${verdict} ${destination.address}:${destination.ports?.from} as ${source.address}`;
  });
}

describe("a table of maps for the founding document", () => {
  const tracer = tracerOf(read("../../../golden/nft/document.nft").toString());

  test.for([
    {
      name: "a pod's connection is shared out, and masqueraded to itself only",
      packet: ["10.5.75.2", "10.100.100.1", 7070],
      expected: ["0.500 accepted 10.5.75.2:3000 as 10.5.75.1", "0.500 accepted 10.5.88.2:3000 as 10.5.75.2"],
    },
    {
      name: "the host's own is masqueraded",
      packet: ["192.168.1.6", "10.100.100.2", 6060],
      expected: ["0.500 accepted 10.5.75.3:3000 as 10.5.75.1", "0.500 accepted 10.5.88.3:3000 as 10.5.75.0"],
    },
    {
      name: "a NodePort is masqueraded",
      packet: ["192.168.1.99", "192.168.1.6", 34211],
      expected: ["0.500 accepted 10.5.75.2:3000 as 10.5.75.1", "0.500 accepted 10.5.88.2:3000 as 10.5.75.0"],
    },
    { name: "a wrong port is refused", packet: ["10.5.75.2", "10.100.100.1", 81], expected: ["1.000 refused"] },
    { name: "an unassigned address is dropped", packet: ["10.5.75.2", "10.100.7.7", 80], expected: ["1.000 dropped"] },
    {
      name: "what dials nothing of ours is left alone",
      packet: ["10.5.75.2", "192.168.1.99", 80],
      expected: ["1.000 untouched 192.168.1.99:80 as 10.5.75.2"],
    },
  ] as const)("$name", ({ packet, expected }) => {
    expect(fates(tracer, packet).toSorted()).toEqual(expected);
  });

  test("tells the rules as nft has them", () => {
    const { branches } = tracer.trace({ from: address("10.5.75.2"), to: address("10.100.100.1"), port: 81 });
    const [branch] = branches;
    expect(branch?.kind === "decided" && branch.outcome.because).toBe("rule 3 of ip svcproxy services (tcp reset)");
  });
});

test("kube-proxy's nftables mode is followed", () => {
  const tracer = tracerOf(read("../../../golden/kube-proxy/02-nodeport/nft.txt").toString());
  expect(fates(tracer, ["10.5.75.2", "10.96.0.20", 80]).toSorted()).toEqual([
    "0.500 accepted 10.244.1.5:8080 as 192.168.1.6",
    "0.500 accepted 10.244.2.5:8080 as 192.168.1.6",
  ]);
  expect(fates(tracer, ["10.5.75.2", "10.96.0.20", 81])).toEqual(["1.000 refused"]);
  expect(fates(tracer, ["10.5.75.2", "10.96.0.99", 80])).toEqual(["1.000 dropped"]);
});

test("a limit is an open question, and nothing where it only counts", () => {
  const chain = (rule: string) =>
    `table ip t {\n chain c {\n type filter hook forward priority 0; policy accept;\n ${rule}\n }\n}\n`;
  expect(fates(tracerOf(chain("limit rate over 10/second drop")), ["10.5.75.2", "192.168.1.99", 80])).toEqual([
    "undecided: how many packets came before is not known (limit rate over 10/second)",
  ]);
  const counted = tracerOf(chain("limit rate 10/second counter packets 0 bytes 0 log"));
  expect(fates(counted, ["10.5.75.2", "192.168.1.99", 80])).toEqual(["1.000 untouched 192.168.1.99:80 as 10.5.75.2"]);
});

test.for([
  ["numgen inc mod 2 vmap { 0 : drop, 1 : drop }", "1.000 dropped"],
  ["symhash mod 4 vmap { 0-1 : drop, 2-3 : drop }", "1.000 dropped"],
  ["jhash ip saddr mod 2 vmap { 0 : drop, 1 : drop }", "1.000 dropped"],
  ["numgen inc mod 2 0-1 drop", "1.000 dropped"],
  ["numgen inc mod 2 2 drop", "1.000 untouched 192.168.1.99:80 as 10.5.75.2"],
  ["numgen inc mod 2 vmap { 0 : drop, 1 : accept }", "1.000 undecided"],
  ["tcp option maxseg size set rt mtu drop", "1.000 dropped"],
] as const)("what comes to the same whatever it is, is decided: %s", ([rule, fate]) => {
  const text = `table ip t {\n chain c {\n type filter hook forward priority 0; policy accept;\n ${rule}\n }\n}\n`;
  expect(fates(tracerOf(text), ["10.5.75.2", "192.168.1.99", 80])).toEqual([fate]);
});

test.for([
  ["meta pkttype set host drop", "1.000 dropped"],
  // IP passes on what came for this host alone.
  ["meta pkttype set other", "1.000 undecided"],
  ["udp checksum set 0 drop", "1.000 untouched 192.168.1.99:80 as 10.5.75.2"],
  ["tcp checksum set 7", "1.000 undecided"],
  ["ip6 flowlabel set 1 drop", "1.000 untouched 192.168.1.99:80 as 10.5.75.2"],
  ["ip ecn set ect0 drop", "1.000 dropped"],
  ["tcp dport set 81", "1.000 accepted 192.168.1.99:81 as 10.5.75.2"],
  // nft does not know where the checksum is.
  ["th dport set 81", "1.000 undecided"],
] as const)("what is written into a packet changes its way as the kernel has it: %s", ([rule, fate]) => {
  const text = `table inet t {\n chain c {\n type filter hook prerouting priority -150; policy accept;\n ${rule}\n }\n}\n`;
  expect(fates(tracerOf(text), ["10.5.75.2", "192.168.1.99", 80])).toEqual([fate]);
});

test("chains of one priority are asked in an order that is not known, which matters where they differ", () => {
  const table = (name: string, rule: string) =>
    `table ip ${name} {\n chain c {\n type filter hook forward priority 0; policy accept;\n ${rule}\n }\n}\n`;
  const drop = table("a", "tcp dport 80 drop");
  expect(fates(tracerOf(drop + table("b", "tcp dport 80 accept")), ["10.5.75.2", "192.168.1.99", 80])).toEqual([
    "1.000 dropped",
  ]);
  expect(fates(tracerOf(drop + table("b", "tcp dport 80 reject")), ["10.5.75.2", "192.168.1.99", 80])).toEqual([
    "undecided: which of ip a c, ip b c is asked first is not known: all have priority 0",
  ]);
  const tracer = tracerOf(drop + table("b", "tcp dport 80 reject"));
  const request = { from: address("10.5.75.2"), to: address("192.168.1.99"), port: 80 };
  const [open] = tracer.trace(request).branches;
  if (open?.kind !== "undecided") throw new TypeError("it hangs on nothing");
  const { because, orders = [] } = open.question;
  expect(
    orders.map((order, answer) => {
      const [branch] = tracer.trace(request, new Map([[because, answer]])).branches;
      return `${branch?.kind === "decided" ? branch.outcome.verdict : "open"} where ${order}`;
    }),
  ).toEqual(["dropped where ip a c is asked before ip b c", "refused where ip b c is asked before ip a c"]);
});

test("no packet is accepted past rules that were not read", () => {
  const text =
    'table ip filter {\n chain FORWARD {\n type filter hook forward priority 0; policy accept;\n xt target "TEE"\n }\n}\n';
  const [fate] = fates(tracerOf(text), ["10.5.75.2", "192.168.1.99", 80]);
  expect(fate).toMatch(/undecided/);
});

test("an answer from another port of the endpoint than was dialled is told with its port", () => {
  const rule = "tcp dport 80 tcp dport set 81";
  const text = `table ip t {\n chain c {\n type filter hook prerouting priority -150; policy accept;\n ${rule}\n }\n}\n`;
  const [branch] = tracerOf(text).trace({
    from: address("10.5.75.2"),
    to: address("192.168.1.99"),
    port: 80,
  }).branches;
  expect(branch?.kind === "decided" && branch.reply?.because).toBe(
    "the client gets it from 192.168.1.99:81, not from 192.168.1.99:80 that it dialled",
  );
});

test.for([
  ["output", "192.168.1.6", "1.000 untouched 127.0.0.1:80 as 192.168.1.6"],
  ["postrouting", "192.168.1.6", "undecided"],
] as const)(
  "of what kind the link is that a host's own packet came by, %s tells as the kernel does",
  ([hook, from, fate]) => {
    const rule = "meta iiftype loopback drop";
    const text = `table ip t {\n chain c {\n type filter hook ${hook} priority 0; policy accept;\n ${rule}\n }\n}\n`;
    expect(fates(tracerOf(text), [from, "127.0.0.1", 80]).join()).toContain(fate);
  },
);

test("what NAT makes of a packet whose addresses were written past its connection is not known", () => {
  const text = `table ip t {
 chain w {
 type filter hook postrouting priority -105; policy accept;
 ip saddr set 10.5.75.9
 }
 chain n {
 type nat hook postrouting priority 100; policy accept;
 tcp dport 80 masquerade
 }
}
`;
  // The kernel masquerades nothing where the connection has that address already.
  expect(fates(tracerOf(text), ["192.168.1.6", "192.168.1.99", 80])).toEqual(["1.000 undecided"]);
  expect(fates(tracerOf(text), ["192.168.1.6", "192.168.1.99", 81])).toEqual([
    "1.000 untouched 192.168.1.99:81 as 10.5.75.9",
  ]);
});

const chainText = (name: string, [type, hook, priority]: readonly [string, string, number], ...rules: string[]) =>
  ` chain ${name} {\n type ${type} hook ${hook} priority ${priority}; policy accept;\n ${rules.join("\n ")}\n }\n`;

test.for([
  {
    name: "a source that was mapped is mapped again where the loopback brings the packet in",
    chains: [
      chainText("n", ["nat", "postrouting", 100], "snat to 10.5.75.1"),
      chainText("w", ["filter", "postrouting", 200], "ip saddr set 10.5.75.9"),
    ],
    packet: ["192.168.1.6", "127.0.0.1", 80],
    fate: "1.000 untouched 127.0.0.1:80 as 10.5.75.1",
  },
  {
    name: "a source that was not mapped stays as it was written",
    chains: [
      chainText("n", ["nat", "postrouting", 100], "udp dport 80 snat to 10.5.75.1"),
      chainText("w", ["filter", "postrouting", 200], "ip saddr set 10.5.75.9"),
    ],
    packet: ["192.168.1.6", "127.0.0.1", 80],
    fate: "1.000 untouched 127.0.0.1:80 as 10.5.75.9",
  },
  {
    name: "a destination that was redirected and then written is mapped again, and loses its route",
    chains: [
      chainText("n", ["nat", "output", -100], "tcp dport 80 redirect to :8080"),
      chainText("w", ["filter", "postrouting", 200], "ip daddr set 192.168.1.6"),
    ],
    packet: ["192.168.1.6", "192.168.1.99", 80],
    fate: "1.000 undecided",
  },
  ...["ip saddr set 10.5.75.9", "ip daddr set 10.5.88.9", "tcp dport set 81", "tcp sport set 81"].flatMap((written) =>
    [-350, -150].map((priority) => ({
      name: `whether its sender learns that a packet is refused is not known after ${written} at ${priority}`,
      chains: [
        chainText("w", ["filter", "prerouting", priority], written),
        chainText("r", ["filter", "forward", 0], "ct state new", "reject"),
      ],
      packet: ["10.5.75.2", "192.168.1.99", 80] as const,
      fate: "1.000 undecided",
    })),
  ),
] as const)("$name", ({ chains, packet, fate }) => {
  expect(fates(tracerOf(`table ip t {\n${chains.join("")}}\n`), packet)).toEqual([fate]);
});

test.for([
  // Conntrack looks for the answer of the endpoint, not of the address that was written over it.
  {
    name: "the answer of an address that was written past a DNAT is not mapped back",
    chains: [
      chainText("n", ["nat", "prerouting", -100], "ip daddr 10.100.100.1 dnat to 10.5.75.3"),
      chainText("w", ["filter", "prerouting", -50], "ip daddr 10.5.75.3 ip daddr set 10.5.75.4"),
    ],
    returns: false,
  },
  {
    name: "the answer of an address that was written before conntrack comes from a stranger",
    chains: [
      chainText("w", ["filter", "prerouting", -350], "ip daddr 10.100.100.1 ip daddr set 10.5.75.4"),
      chainText("c", ["filter", "forward", 0], "ct state invalid drop"),
    ],
    returns: false,
  },
  {
    name: "rules that write both ways need no conntrack",
    chains: [
      chainText("w", ["filter", "prerouting", -350], "ip daddr 10.100.100.1 ip daddr set 10.5.75.4"),
      chainText("c", ["filter", "forward", 0], "ct state invalid drop"),
      chainText("b", ["filter", "postrouting", 350], "ip saddr 10.5.75.4 ip saddr set 10.100.100.1"),
    ],
    returns: true,
  },
] as const)("$name", ({ chains, returns }) => {
  const tracer = tracerOf(`table ip t {\n${chains.join("")}}\n`);
  const [branch] = tracer.trace({ from: address("10.5.75.2"), to: address("10.100.100.1"), port: 80 }).branches;
  expect(branch?.kind === "decided" && branch.reply?.returns).toBe(returns);
});

test.for([
  ["ip daddr set 192.168.1.6", "eth0"],
  ["dnat to 192.168.1.6", undefined],
] as const)(
  "a host's own packet goes another way for NAT, and not for what a chain of NAT writes: %s",
  ([rule, leftBy]) => {
    const chain = chainText("n", ["nat", "output", -100], "udp dport 80 redirect", rule);
    const [branch] = tracerOf(`table ip t {\n${chain}}\n`).trace({
      from: address("192.168.1.6"),
      to: address("192.168.1.99"),
      port: 80,
    }).branches;
    const outcome = branch?.kind === "decided" ? branch.outcome : undefined;
    expect([outcome?.destination.address, outcome?.leftBy]).toEqual(["192.168.1.6", leftBy]);
  },
);
