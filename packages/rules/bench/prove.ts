/**
 * Reading and proving rules for thousands of services × 3 endpoints against the time that loading them takes, in turns, and
 * comparing two such rule sets against proving one. Each round runs in a process of its own, for its peak of memory. Needs root.
 *
 *     node bench/prove.ts [--services N] [iptables] [nft] [same]
 */
import { execFileSync } from "node:child_process";
import process from "node:process";
import { parseArgs } from "node:util";
import { parseIpAddress, parseTopology, planHost } from "@svcproxy/topology";
import { isNftRule } from "../src/hooks/any-rule.ts";
import { hostStateOf } from "../src/host/host-state-of.ts";
import { isKubernetesRule } from "../src/prove/claims/own-rules.ts";
import { type ProveOptions, proveRules } from "../src/prove/prove-rules.ts";
import { tableDeviations } from "../src/prove/report/table-deviations.ts";
import { sameRules } from "../src/prove/same/same-rules.ts";
import { parseSave } from "../src/rule-sets/parse-save.ts";
import { readRules } from "../src/rule-sets/read-rules.ts";
import { deviationsOf } from "../src/testing/prove-fixtures.ts";
import { createTracer } from "../src/trace/trace-packet.ts";
import { documentServices } from "./document-services.ts";
import { manyNftServices } from "./many-nft-services.ts";
import { median, timed } from "./median.ts";

const ROUNDS = 3;
const ENDPOINTS = 3;
const MAX_TRACE_RATIO = 1;
const MAX_PROVE_RATIO = 6;
const MAX_SAME_RATIO = 3;
const MAX_MIB = 600;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { services: { type: "string" }, part: { type: "string" } },
});

const PARTS: Readonly<
  Record<string, { readonly services: number; readonly run: (count: number) => readonly Measured[] }>
> = {
  iptables: { services: 10_000, run: proveIptables },
  nft: { services: 10_000, run: proveNft },
  same: { services: 5000, run: compareTwo },
};

interface Measured {
  readonly name: string;
  readonly value: number;
  readonly limit: number;
}

const part = PARTS[flags.part ?? ""];
if (part === undefined) runParts(positionals.length > 0 ? positionals : Object.keys(PARTS));
else {
  const measured = part.run(Number(flags.services ?? part.services));
  const peak = { name: "MiB", value: process.resourceUsage().maxRSS / 1024, limit: MAX_MIB };
  // Two rule sets may take more than one.
  console.log(JSON.stringify(flags.part === "same" ? measured : [...measured, peak]));
}

function runParts(names: readonly string[]): void {
  const services = flags.services === undefined ? [] : ["--services", flags.services];
  for (const name of names) {
    const rounds: (readonly Measured[])[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const output = execFileSync(process.execPath, [import.meta.filename, "--part", name, ...services]).toString();
      const [line, result = "[]"] = output.trim().split("\n");
      console.log(line);
      rounds.push(JSON.parse(result));
    }
    for (const { name: what, limit } of rounds[0] ?? []) {
      const value = median(rounds.flatMap((one) => one.filter((each) => each.name === what).map((each) => each.value)));
      console.log(`${name}: ${what} ${value.toFixed(2)} (at most ${limit}: ${value <= limit ? "met" : "MISSED"})`);
      if (value > limit) process.exitCode = 3;
    }
  }
}

function proveIptables(count: number): readonly Measured[] {
  const { plan, hostState, services } = cluster(count);
  const text = documentServices(services);
  const loaded = timed(() => execFileSync("unshare", ["--net", "iptables-legacy-restore"], { input: text }));
  const proved = timed(() => {
    const rules = parseSave(text, { family: 4 });
    held({ rules, plan, hostState, isOwn: isOfDocument, deviations: deviationsOf("document") });
  });
  console.log(`iptables: read and prove ${seconds(proved)}, load ${seconds(loaded)}`);
  return [{ name: "prove", value: proved / loaded, limit: MAX_PROVE_RATIO }];
}

function proveNft(count: number): readonly Measured[] {
  const { plan, hostState, services } = cluster(count);
  const texts = services.map(({ vip, pods }) => ({ vip, pods, local: pods.slice(0, 1) }));
  const text = manyNftServices(texts, { podBlock: "10.10.0.0/16" });
  const [from, to] = ["10.10.1.1", services.at(-1)?.vip ?? ""].map((address) => parseIpAddress(address));
  if (from === undefined || to === undefined) throw new TypeError("no address");
  const alone = timed(() => execFileSync("unshare", ["--net", "nft", "-f", "-"], { input: text }));
  const script = "nft -f - && nft list ruleset > /dev/null";
  const loaded = timed(() => execFileSync("unshare", ["--net", "sh", "-c", script], { input: text }));
  const read = () => readRules([{ file: "rules.nft", text }]).rules(4);
  const request = { from, to, protocol: "tcp", port: 80 };
  const traced = timed(() => createTracer({ rules: read(), hostState }).trace(request));
  const deviations = tableDeviations("kube-proxy", plan);
  const proved = timed(() => held({ rules: read(), plan, hostState, deviations }));
  const told = `trace ${seconds(traced)}, prove ${seconds(proved)}, load and list ${seconds(loaded)} (load alone ${seconds(alone)})`;
  console.log(`nft: ${told}`);
  return [
    { name: "trace", value: traced / loaded, limit: MAX_TRACE_RATIO },
    { name: "prove", value: proved / loaded, limit: MAX_PROVE_RATIO },
  ];
}

/** Two rule sets that are the same to packets, written differently: the second asks for the services in another order. */
function compareTwo(count: number): readonly Measured[] {
  const { plan, hostState, services } = cluster(count);
  const [a, b] = [documentServices(services), documentServices(services.toReversed())];
  const proved = timed(() => {
    const rules = parseSave(a, { family: 4 });
    held({ rules, plan, hostState, isOwn: isOfDocument, deviations: deviationsOf("document") });
  });
  const compared = timed(() => {
    const { kind } = sameRules({ a: parseSave(a, { family: 4 }), b: parseSave(b, { family: 4 }), hostState });
    if (kind !== "same") throw new Error(`they are ${kind}`);
  });
  console.log(`same: read and compare ${seconds(compared)}, prove one ${seconds(proved)}`);
  return [{ name: "--same", value: compared / proved, limit: MAX_SAME_RATIO }];
}

function held(options: ProveOptions): void {
  const { claims } = proveRules(options);
  const open = claims.find(({ status }) => status !== "held");
  if (open !== undefined) throw new Error(JSON.stringify(open));
}

function isOfDocument(placed: Parameters<typeof isKubernetesRule>[0]): boolean {
  return isKubernetesRule(placed) || (!isNftRule(placed.rule) && placed.rule.target.kind === "masquerade");
}

/** Hosts that each have an endpoint of every service. */
function cluster(count: number) {
  const services = times(
    (service) => ({
      vip: `10.200.${service >> 8}.${service & 255}`,
      pods: times((host) => `10.${10 + host}.${(service >> 8) + 1}.${service & 255}`, ENDPOINTS),
    }),
    count,
  );
  const hosts = times(
    (host) => ({
      name: `host${host}`,
      address: `192.168.1.${host + 1}`,
      podCIDR: `10.${10 + host}.0.0/16`,
      pods: services.map(({ pods }, service) => ({ name: `p${service}-${host}`, address: `${pods[host]}:8080` })),
    }),
    ENDPOINTS,
  );
  const listed = services.map(({ vip }, service) => ({
    name: `s${service}`,
    clusterIP: vip,
    ports: [{ port: 80 }],
    endpoints: times((host) => `p${service}-${host}`, ENDPOINTS),
  }));
  const file = new TextEncoder().encode(JSON.stringify({ hosts, services: listed }));
  const { topology } = parseTopology(file, { file: "bench.json" });
  const hostState = { ...hostStateOf(topology, { host: "host0" }), recentLists: {} };
  return { services, plan: planHost(topology, { host: "host0" }), hostState };
}

function times<Item>(make: (index: number) => Item, count: number): readonly Item[] {
  return Array.from({ length: count }, (_, at) => make(at));
}

function seconds(value: number): string {
  return `${value.toFixed(2)} s`;
}
