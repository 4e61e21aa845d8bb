import { expect, test } from "vitest";
import { MemoryMachine } from "../testing/machine/memory-machine.ts";
import { hostProblems } from "./host-problems.ts";

const { signal } = new AbortController();
const FINE = { "net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1" };

test.for([
  { name: "a host that forwards, without a bridge", sysctls: FINE, bridge: false, codes: [] },
  {
    name: "a host that forwards nothing",
    sysctls: {},
    bridge: false,
    codes: ["FORWARDING_OFF net.ipv4.ip_forward", "FORWARDING_OFF net.ipv6.conf.all.forwarding"],
  },
  {
    name: "a bridge of which netfilter does not know",
    sysctls: FINE,
    bridge: true,
    codes: [
      "BRIDGE_PAST_NETFILTER net.bridge.bridge-nf-call-iptables",
      "BRIDGE_PAST_NETFILTER net.bridge.bridge-nf-call-ip6tables",
    ],
  },
  {
    name: "a bridge past which IPv6 goes",
    sysctls: {
      ...FINE,
      "net.bridge.bridge-nf-call-iptables": "1",
      "net.bridge.bridge-nf-call-ip6tables": "0",
    },
    bridge: true,
    codes: ["BRIDGE_PAST_NETFILTER net.bridge.bridge-nf-call-ip6tables"],
  },
])("$name: $codes", async ({ sysctls, bridge, codes }) => {
  const machine = new MemoryMachine({ sysctls });
  if (bridge) await machine.run("ip", ["link", "add", "docker0", "type", "bridge"]);
  const problems = await hostProblems({ families: [4, 6], localhostNodePorts: false }, signal, { machine });
  expect(problems.map(({ code, subject }) => `${code} ${subject.replace(/^sysctl /, "")}`)).toEqual(codes);
});

test("NodePorts on loopback need route_localnet, and a machine without `ip` is asked for no bridges", async () => {
  const machine = new MemoryMachine({ sysctls: FINE, tools: { ip: undefined } });
  const needs = { families: [4] as const, localhostNodePorts: true };
  expect(await hostProblems(needs, signal, { machine })).toMatchObject([{ code: "ROUTE_LOCALNET_OFF" }]);
  await machine.writeSysctl("net.ipv4.conf.all.route_localnet", "1");
  expect(await hostProblems(needs, signal, { machine })).toEqual([]);
});
