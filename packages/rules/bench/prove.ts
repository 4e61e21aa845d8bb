/**
 * Reading and proving the founding document's kind of rules for 10,000 services × 3 endpoints against the time that
 * iptables-legacy-restore takes to load them, in turns: `pnpm --filter @svcproxy/rules bench:prove`. Needs root.
 */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { parseTopology, planHost } from "@svcproxy/topology";
import { isNftRule } from "../src/hooks/any-rule.ts";
import { hostStateOf } from "../src/host/host-state-of.ts";
import { isKubernetesRule } from "../src/prove/claims/own-rules.ts";
import { proveRules } from "../src/prove/prove-rules.ts";
import { parseSave } from "../src/rule-sets/parse-save.ts";
import { deviationsOf } from "../src/testing/prove-fixtures.ts";

const ROUNDS = 3;
const MAX_RATIO = 10;
const MAX_MIB = 1024;
const SERVICES = Number(process.argv[2] ?? 10_000);
const ENDPOINTS = 3;

const text = rulesText();
const { topology } = parseTopology(new TextEncoder().encode(topologyText()), { file: "bench.json" });
const plan = planHost(topology, { host: "host0" });
const hostState = hostStateOf(topology, { host: "host0" });
const ratios: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const loaded = timed(() => execFileSync("unshare", ["--net", "iptables-legacy-restore"], { input: text }));
  const proved = timed(() => {
    const rules = parseSave(text, { family: 4 });
    const isOwn = (placed: Parameters<typeof isKubernetesRule>[0]) =>
      isKubernetesRule(placed) || (!isNftRule(placed.rule) && placed.rule.target.kind === "masquerade");
    const proof = proveRules({ rules, plan, hostState, isOwn, deviations: deviationsOf("document") });
    if (!proof.holds)
      throw new Error(`broken: ${JSON.stringify(proof.claims.find(({ status }) => status !== "held"))}`);
  });
  ratios.push(proved / loaded);
  console.log(`read and prove ${proved.toFixed(2)} s, load ${loaded.toFixed(2)} s: ${(proved / loaded).toFixed(2)}`);
}
const ratio = ratios.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? Number.POSITIVE_INFINITY;
const peakMiB = process.resourceUsage().maxRSS / 1024;
const isMet = ratio <= MAX_RATIO && peakMiB <= MAX_MIB;
console.log(`median ${ratio.toFixed(2)} (at most ${MAX_RATIO}), peak ${peakMiB.toFixed(0)} MiB (at most ${MAX_MIB})`);
console.log(isMet ? "met" : "MISSED");
process.exitCode = isMet ? 0 : 3;

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}

function vip(service: number): string {
  return `10.200.${service >> 8}.${service & 255}`;
}

function pod(service: number, endpoint: number): string {
  return `10.${10 + endpoint}.${(service >> 8) + 1}.${service & 255}`;
}

function topologyText(): string {
  const each = <Item>(make: (index: number) => Item, count: number) =>
    Array.from({ length: count }, (_, at) => make(at));
  const hosts = each(
    (host) => ({
      name: `host${host}`,
      address: `192.168.1.${host + 1}`,
      podCIDR: `10.${10 + host}.0.0/16`,
      pods: each((service) => ({ name: `p${service}-${host}`, address: `${pod(service, host)}:8080` }), SERVICES),
    }),
    ENDPOINTS,
  );
  const services = each(
    (service) => ({
      name: `s${service}`,
      clusterIP: vip(service),
      ports: [{ port: 80 }],
      endpoints: each((host) => `p${service}-${host}`, ENDPOINTS),
    }),
    SERVICES,
  );
  return JSON.stringify({ hosts, services });
}

function rulesText(): string {
  const chains = ["KUBE-SERVICES", "KUBE-MARK-MASQ", "KUBE-POSTROUTING"];
  const rules = [
    "-A PREROUTING -j KUBE-SERVICES",
    "-A OUTPUT -j KUBE-SERVICES",
    "-A POSTROUTING -s 192.168.1.1/32 -j MASQUERADE",
    "-A POSTROUTING -j KUBE-POSTROUTING",
    "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0xffffffff",
    "-A KUBE-POSTROUTING -m mark --mark 0x4000 -j MASQUERADE",
  ];
  const dispatch: string[] = [];
  for (let service = 0; service < SERVICES; service++) {
    chains.push(`KUBE-SVC-${service}`);
    dispatch.push(`-A KUBE-SERVICES -d ${vip(service)}/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-${service}`);
    for (let endpoint = 0; endpoint < ENDPOINTS; endpoint++) {
      const chain = `KUBE-SEP-${service}-${endpoint}`;
      const left = ENDPOINTS - endpoint;
      const chance = left === 1 ? "" : ` -m statistic --mode random --probability ${(1 / left).toFixed(11)}`;
      chains.push(chain);
      rules.push(
        `-A KUBE-SVC-${service}${chance} -j ${chain}`,
        `-A ${chain} -s ${pod(service, endpoint)}/32 -j KUBE-MARK-MASQ`,
        `-A ${chain} -p tcp -m tcp -j DNAT --to-destination ${pod(service, endpoint)}:8080`,
      );
    }
  }
  const builtIn = ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"].map((chain) => `:${chain} ACCEPT [0:0]`);
  return ["*nat", ...builtIn, ...chains.map((chain) => `:${chain} - [0:0]`), ...dispatch, ...rules, "COMMIT", ""].join(
    "\n",
  );
}
