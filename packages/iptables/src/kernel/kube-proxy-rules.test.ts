import { parseSave } from "@svcproxy/rules";
import { expect, test } from "vitest";
import type { DesiredRules } from "../desired-rules.ts";
import { areKubeProxys, withoutKubeProxysOwn } from "./kube-proxy-rules.ts";

const SAVED = `*filter
:INPUT ACCEPT [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A INPUT -j KUBE-FIREWALL
-A INPUT -s 10.9.9.9/32 -j DROP
-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name ct_state_invalid_dropped_pkts -j DROP
COMMIT
*nat
:KUBE-EXT-A - [0:0]
:KUBE-EXT-B - [0:0]
:KUBE-NODEPORTS - [0:0]
-A KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m tcp --dport 30080 -m nfacct --nfacct-name localhost_nps_accepted_pkts -j KUBE-EXT-A
-A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-A
-A KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m tcp --dport 30081 -m nfacct --nfacct-name localhost_nps_accepted_pkts -j KUBE-EXT-A
-A KUBE-NODEPORTS -p tcp -m tcp --dport 30081 -j KUBE-EXT-B
COMMIT
`;

const saved = [parseSave(SAVED, { family: 4 })];

function left(desired: readonly DesiredRules[]) {
  return Object.fromEntries(
    withoutKubeProxysOwn(saved, desired).flatMap(({ tables }) =>
      tables.flatMap(({ chains }) => chains.map(({ name, rules }) => [name, rules.length])),
    ),
  );
}

test("kube-proxy is told by its canary", () => {
  expect(areKubeProxys(saved)).toBe(true);
  expect(areKubeProxys([parseSave(SAVED.replaceAll("KUBE-PROXY-CANARY", "X"), { family: 4 })])).toBe(false);
});

test("canaries, accounting and kubelet's chain say nothing, and foreign rules and other targets stay", () => {
  expect(left([])).toEqual({ INPUT: 1, "KUBE-FORWARD": 1, "KUBE-EXT-A": 0, "KUBE-EXT-B": 0, "KUBE-NODEPORTS": 3 });
  const forward = withoutKubeProxysOwn(saved, []).flatMap(({ tables }) =>
    tables.flatMap(({ chains }) => chains.filter(({ name }) => name === "KUBE-FORWARD").flatMap(({ rules }) => rules)),
  );
  expect(forward[0]?.matches.map(({ kind }) => kind)).toEqual(["conntrack"]);
});

test("a guard that the plan has is looked for, whatever else is in its chain", () => {
  const guard = parseSave("*filter\n:KUBE-FIREWALL - [0:0]\n-A KUBE-FIREWALL -d 127.0.0.0/8 -j DROP\nCOMMIT\n", {
    family: 4,
  });
  expect(left([{ family: 4, tables: guard.tables, hooks: [] }])).toMatchObject({ "KUBE-FIREWALL": 0, INPUT: 2 });
});
