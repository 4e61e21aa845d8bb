/**
 * Reading and walking the rules of 10,000 services × 3 endpoints against the time that iptables-legacy-restore takes to load
 * them, in turns: `pnpm --filter @svcproxy/rules bench:trace`. Needs root.
 */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { parseIpAddress } from "@svcproxy/topology";
import type { HostState } from "../src/host/host-state.ts";
import { DEFAULT_POLICY_RULES, localRoutes } from "../src/host/host-state-of.ts";
import { parseSave } from "../src/rule-sets/parse-save.ts";
import { createTracer } from "../src/trace/trace-packet.ts";
import { manyServices } from "./many-services.ts";
import { median, timed } from "./median.ts";

const ROUNDS = 7;
const LIMIT = 1;
const SERVICES = 10_000;

const text = manyServices({ services: SERVICES, endpoints: 3 });
const hostState = aHost();
const ratios: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const loaded = timed(() => execFileSync("unshare", ["--net", "iptables-legacy-restore"], { input: text }));
  const traced = timed(() => {
    const tracer = createTracer({ rules: parseSave(text, { family: 4 }), hostState });
    const { branches } = tracer.trace({ from: address("10.5.0.2"), to: address("10.100.39.15"), port: 80 });
    if (branches.length !== 3) throw new Error(`${branches.length} branches instead of 3`);
  });
  ratios.push(traced / loaded);
  console.log(`parse and walk ${traced.toFixed(2)} s, load ${loaded.toFixed(2)} s: ${(traced / loaded).toFixed(2)}`);
}
const ratio = median(ratios);
console.log(`median ${ratio.toFixed(2)} (at most ${LIMIT}: ${ratio <= LIMIT ? "met" : "MISSED"})`);
process.exitCode = ratio <= LIMIT ? 0 : 3;

function address(text: string) {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new TypeError(`no address: ${text}`);
  return parsed;
}

function aHost(): HostState {
  const interfaces = [
    { name: "lo", isLoopback: true, addresses: [{ address: address("127.0.0.1"), prefixLength: 8 }] },
    {
      name: "cni0",
      isLoopback: false,
      linkKind: "bridge",
      addresses: [{ address: address("10.5.0.1"), prefixLength: 16 }],
    },
  ];
  const toPods = { destination: { address: address("10.5.0.0"), prefixLength: 16 }, type: "unicast" as const };
  return {
    interfaces,
    routes: [...localRoutes(interfaces), { ...toPods, interface: "cni0", metric: 0, table: "main" }],
    policyRules: DEFAULT_POLICY_RULES,
    sysctls: { "net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1" },
  };
}
