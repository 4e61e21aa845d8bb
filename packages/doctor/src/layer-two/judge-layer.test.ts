import { expect, test } from "vitest";
import { judgeLayer, type LayerPacket, type LayerPlace } from "./judge-layer.ts";
import { readLayerChains } from "./layer-chain.ts";

const BRIDGE: LayerPlace = { family: "bridge", hook: "forward" };
const PACKET: LayerPacket = {
  ...{ kind: "ip", source: "10.5.75.3", destination: "10.5.75.2", protocol: "tcp", port: 3000, outDevice: "veth0" },
};

function chain(name: string, more: Readonly<Record<string, unknown>> = {}) {
  return { chain: { family: "bridge", table: "t", name, handle: 1, ...more } };
}

function rule(name: string, ...expr: readonly unknown[]) {
  return { rule: { family: "bridge", table: "t", chain: name, handle: 7, expr } };
}

const match = (left: unknown, right: unknown, op = "==") => ({ match: { op, left, right } });
const payload = (protocol: string, field: string) => ({ payload: { protocol, field } });
const meta = (key: string) => ({ meta: { key } });
const base = (policy = "accept") => chain("f", { hook: "forward", prio: 0, policy });

test.for([
  ["an accepting policy", [base()], "passes"],
  ["a dropping policy", [base("drop")], "drops"],
  [
    "an accept before it",
    [base("drop"), rule("f", match(payload("ip", "daddr"), "10.5.75.2"), { accept: null })],
    "passes",
  ],
  [
    "an accept of ARP before it",
    [base("drop"), rule("f", match(payload("ether", "type"), "arp"), { accept: null })],
    "drops",
  ],
  [
    "its port",
    [base(), rule("f", match(payload("tcp", "dport"), { set: [80, { range: [2999, 3001] }] }), { drop: null })],
    "drops",
  ],
  ["another port", [base(), rule("f", match(payload("tcp", "dport"), { set: [80] }), { drop: null })], "passes"],
  ["another protocol", [base(), rule("f", match(payload("udp", "dport"), 3000), { drop: null })], "passes"],
  [
    "its block",
    [base(), rule("f", match(payload("ip", "saddr"), { prefix: { addr: "10.5.75.0", len: 24 } }), { drop: null })],
    "drops",
  ],
  ["all but its port", [base(), rule("f", match(payload("th", "dport"), 3000, "!="), { drop: null })], "passes"],
  [
    "its device",
    [base(), rule("f", match(meta("oifname"), "veth*"), { counter: { packets: 1, bytes: 2 } }, { drop: null })],
    "drops",
  ],
  ["a device that is not known", [base(), rule("f", match(meta("iifname"), "veth1"), { drop: null })], "mayDrop"],
  ["a match that is not known", [base(), rule("f", { limit: { rate: 1 } }, { drop: null })], "mayDrop"],
  ["an accept that is not known", [base("drop"), rule("f", { limit: { rate: 1 } }, { accept: null })], "mayDrop"],
  [
    "a chain behind a jump",
    [base(), rule("f", { jump: { target: "g" } }), chain("g"), rule("g", { drop: null })],
    "drops",
  ],
  ["a chain that nobody jumps to", [base(), chain("g"), rule("g", { drop: null })], "passes"],
  ["a named set", [base(), rule("f", match(payload("ip", "daddr"), "@pods"), { drop: null })], "mayDrop"],
] as const)("%s", ([, nftables, kind]) => {
  expect(judgeLayer(readLayerChains({ nftables }), { place: BRIDGE, packet: PACKET })).toMatchObject({ kind });
});

test("a chain of another hook or device is not asked, and of which device it is the text tells where JSON does not", () => {
  const nftables = [
    { chain: { family: "netdev", table: "x", name: "c", handle: 1, hook: "ingress", prio: 0, policy: "drop" } },
  ];
  const text =
    'table netdev x {\n\tchain c {\n\t\ttype filter hook ingress device "eth0" priority filter; policy drop;\n\t}\n}\n';
  const on = (device: string, chains = readLayerChains({ nftables }, [text])) =>
    judgeLayer(chains, { place: { family: "netdev", hook: "ingress", device }, packet: PACKET }).kind;
  expect([on("eth0"), on("veth0")]).toEqual(["drops", "passes"]);
  expect(on("eth0", readLayerChains({ nftables }))).toBe("mayDrop");
  expect(judgeLayer(readLayerChains({ nftables }, [text]), { place: BRIDGE, packet: PACKET }).kind).toBe("passes");
});

test("a rule has its text and what it counted", () => {
  const [found] = readLayerChains({
    nftables: [
      base(),
      rule("f", match(payload("ip", "daddr"), "10.0.0.1"), { counter: { packets: 3 } }, { drop: null }),
    ],
  });
  expect(found?.rules).toMatchObject([{ text: "ip daddr 10.0.0.1 counter drop", packets: 3, handle: 7 }]);
});
