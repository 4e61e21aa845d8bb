import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import { largeClusterIP } from "./large-topology.ts";
import { median } from "./median.ts";

/** A host with a set of rules, and the services of a large topology that are dialled through it. */
export interface RatedHost {
  readonly name: string;
  /** Services that are dialled, by their place. */
  readonly dialled: readonly number[];
  /** Gives the host its rules. */
  readonly load: (host: NetworkNamespace) => Promise<unknown>;
}

/** How many connections a second a service of a host takes: `name place`. */
export type ConnectionRates = (target: string) => number;

/**
 * Opens connections one after the other through hosts with different rules, in turn: a client, a backend that owns every endpoint's
 * address, and the hosts between them, all in namespaces. Needs root and python3.
 *
 * @param connections in a row: of 1,000 endpoints 200 connections hardly meet one twice, and come out two to six hundredths slower than 500
 */
export async function measureConnectionRates(
  hosts: readonly RatedHost[],
  { rounds, connections }: { readonly rounds: number; readonly connections: number },
): Promise<ConnectionRates> {
  await using stack = new AsyncDisposableStack();
  const client = stack.use(await createNetworkNamespace());
  const backend = stack.use(await createNetworkNamespace());
  await lay(backend, ["ip route add local 10.0.0.0/8 dev lo"]);
  const targets: { readonly name: string; readonly line: string }[] = [];
  for (const [index, { name, dialled, load }] of hosts.entries()) {
    const number = index + 1;
    await load(await addHost(stack, { client, backend, number }));
    for (const place of dialled) {
      const line = `100.64.${number}.2 ${largeClusterIP(place)} 80 ${connections}`;
      targets.push({ name: `${name} ${place}`, line });
    }
  }
  const server = script("accept.py", backend);
  stack.defer(() => void server.kill());
  await once(server.stdout, "data");
  const dialler = script("dial-rate.py", client);
  stack.defer(() => void dialler.stdin.end());
  const answers = createInterface({ input: dialler.stdout });
  const rates = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++) {
    // Forth and back, so that no target always comes after the same one.
    for (const { name, line } of round % 2 === 0 ? targets : targets.toReversed()) {
      dialler.stdin.write(`${line}\n`);
      const [seconds] = await once(answers, "line");
      // The first round warms up.
      if (round > 0) rates.set(name, [...(rates.get(name) ?? []), connections / Number(seconds)]);
    }
  }
  // That of the fastest quarter of the rounds: other work on the machine only ever makes one slower.
  return (target) => {
    const fastestFirst = (rates.get(target) ?? []).toSorted((a, b) => b - a);
    return median(fastestFirst.slice(0, Math.ceil(fastestFirst.length / 4)));
  };
}

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
