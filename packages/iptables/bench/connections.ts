/**
 * New connections per second through the rules of large clusters, as ratios within one interleaved run:
 * `pnpm --filter @svcproxy/iptables bench:connections`. A client, a backend that owns every endpoint's address, and between
 * them one host for each set of rules, all in namespaces. Needs root, both variants of iptables, and python3.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import { planHost } from "@svcproxy/topology";
import { compileScript, type DispatchMode, formatRestoreScript } from "../src/index.ts";
import { LARGE_HOST, type LargeTopologyOptions, largeClusterIP, largeTopology } from "./large-topology.ts";
import { median } from "./median.ts";

const SERVICES = 10_000;
const ROUNDS = Number(process.env["ROUNDS"] ?? 160);
/** In a row: of 1,000 endpoints 200 connections hardly meet one twice, and come out two to six hundredths slower than 500. */
const CONNECTIONS = Number(process.env["CONNECTIONS"] ?? 500);
const VARIANTS = ["nft", "legacy"] as const;

interface Subject {
  readonly name: string;
  readonly size: LargeTopologyOptions;
  readonly dispatch: DispatchMode;
  /** Services that are dialled, by their place. */
  readonly dialled: readonly number[];
}

const SUBJECTS: readonly Subject[] = [
  { name: "one service", size: { services: 1, endpoints: 1 }, dispatch: "auto", dialled: [0] },
  { name: "linear", size: { services: SERVICES, endpoints: 1 }, dispatch: "linear", dialled: [0, SERVICES - 1] },
  { name: "tree", size: { services: SERVICES, endpoints: 1 }, dispatch: "tree", dialled: [0, SERVICES - 1] },
  { name: "2 endpoints", size: { services: 1, endpoints: 2 }, dispatch: "auto", dialled: [0] },
  { name: "1,000 endpoints, linear", size: { services: 1, endpoints: 1000 }, dispatch: "linear", dialled: [0] },
  { name: "1,000 endpoints", size: { services: 1, endpoints: 1000 }, dispatch: "auto", dialled: [0] },
];

/** What is told at the end: one rate over another, and the target. */
const RATIOS: readonly (readonly [of: string, over: string, target: number | undefined])[] = [
  [`linear ${SERVICES - 1}`, "linear 0", undefined],
  [`linear ${SERVICES - 1}`, "one service 0", undefined],
  ["tree 0", "one service 0", undefined],
  [`tree ${SERVICES - 1}`, "tree 0", 0.95],
  [`tree ${SERVICES - 1}`, "one service 0", 0.95],
  ["1,000 endpoints, linear 0", "2 endpoints 0", undefined],
  ["1,000 endpoints 0", "2 endpoints 0", 0.95],
];

function script(name: string, { pid }: NetworkNamespace): ChildProcessByStdio<Writable, Readable, null> {
  const file = fileURLToPath(new URL(name, import.meta.url));
  return spawn("nsenter", [`--net=/proc/${pid}/ns/net`, "python3", file], { stdio: ["pipe", "pipe", "inherit"] });
}

async function lay(namespace: NetworkNamespace, lines: readonly string[]): Promise<void> {
  await namespace.run("sh", ["-e"], { input: lines.join("\n") });
}

/** A host between client and backend, with addresses of its own number. */
async function addHost(
  stack: AsyncDisposableStack,
  { client, backend, number }: { client: NetworkNamespace; backend: NetworkNamespace; number: number },
): Promise<NetworkNamespace> {
  const host = stack.use(await createNetworkNamespace());
  await lay(host, [
    "sysctl -q -w net.ipv4.ip_forward=1",
    `ip link add client type veth peer name host${number} netns ${client.pid}`,
    `ip link add backend type veth peer name host${number} netns ${backend.pid}`,
    `ip address add 100.64.${number}.1/24 dev client`,
    `ip address add 100.65.${number}.1/24 dev backend`,
    "ip link set client up",
    "ip link set backend up",
    `ip route add 10.0.0.0/8 via 100.65.${number}.2`,
  ]);
  await lay(client, [
    `ip address add 100.64.${number}.2/24 dev host${number}`,
    `ip link set host${number} up`,
    `ip route add default via 100.64.${number}.1 table ${number}`,
    `ip rule add from 100.64.${number}.2 lookup ${number}`,
  ]);
  await lay(backend, [
    `ip address add 100.65.${number}.2/24 dev host${number}`,
    `ip link set host${number} up`,
    `ip route add 100.64.${number}.0/24 via 100.65.${number}.1`,
  ]);
  return host;
}

await using stack = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
stack.defer(() => rmSync(folder, { recursive: true }));
// iptables-legacy's own lock is one for the whole machine, whatever the namespace: whoever else works there is not to wait for us.
process.env["XTABLES_LOCKFILE"] = join(folder, "xtables.lock");
const client = stack.use(await createNetworkNamespace());
const backend = stack.use(await createNetworkNamespace());
await lay(backend, ["ip route add local 10.0.0.0/8 dev lo"]);

const targets: { readonly key: string; readonly variant: string; readonly line: string }[] = [];
let number = 0;
for (const { name, size, dispatch, dialled } of SUBJECTS) {
  const plan = planHost(largeTopology(size), { host: LARGE_HOST });
  const text = [...formatRestoreScript(compileScript(plan, { dialect: "document", family: 4, dispatch }))].join("");
  for (const variant of VARIANTS) {
    number++;
    const host = await addHost(stack, { client, backend, number });
    await host.run(`iptables-${variant}-restore`, ["--noflush"], { input: text });
    for (const index of dialled) {
      const line = `100.64.${number}.2 ${largeClusterIP(index)} 80 ${CONNECTIONS}`;
      targets.push({ key: `${name} ${index}`, variant, line });
    }
  }
}

const server = script("accept.py", backend);
stack.defer(() => void server.kill());
await once(server.stdout, "data");
const dialler = script("dial-rate.py", client);
stack.defer(() => void dialler.stdin.end());
const answers: Interface = createInterface({ input: dialler.stdout });

const rates = new Map<string, number[]>();
for (let round = 0; round <= ROUNDS; round++) {
  // Forth and back, so that no target always comes after the same one.
  for (const { key, variant, line } of round % 2 === 0 ? targets : targets.toReversed()) {
    dialler.stdin.write(`${line}\n`);
    const [seconds] = await once(answers, "line");
    const name = `${variant} ${key}`;
    // The first round warms up.
    if (round > 0) rates.set(name, [...(rates.get(name) ?? []), CONNECTIONS / Number(seconds)]);
  }
}

/** The rate of the fastest quarter of the rounds: other work on the machine only ever makes one slower. */
function rateOf(target: string): number {
  const fastestFirst = (rates.get(target) ?? []).toSorted((a, b) => b - a);
  return median(fastestFirst.slice(0, Math.ceil(fastestFirst.length / 4)));
}

for (const variant of VARIANTS) {
  for (const [of, over, target] of RATIOS) {
    const rate = rateOf(`${variant} ${of}`);
    const ratio = rate / rateOf(`${variant} ${over}`);
    const verdict = target === undefined ? "" : ` (at least ${target}: ${ratio >= target ? "met" : "MISSED"})`;
    console.log(`${variant}: ${of} over ${over}: ${ratio.toFixed(2)}${verdict}, ${rate.toFixed(0)} a second`);
  }
}
