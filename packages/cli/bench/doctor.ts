/**
 * What `svcproxy doctor` takes on a lab of two hosts, with the built command: for one service (3 s at most), and for 1,000 (15 s at most), on a
 * healthy host and on one whose overlay is filtered, where half of the endpoints give no answer; and what it sends.
 *
 *     pnpm --filter svcproxy bench:doctor          (root; SERVICES=1000)
 */
import { resolve } from "node:path";
import process from "node:process";
import { startLab } from "@svcproxy/lab";
import { parseTopology } from "@svcproxy/topology";

const SERVICES = Number(process.env["SERVICES"] ?? 1_000);
const DATA_PATHS = ["nftables", "iptables"] as const;
const command = [process.execPath, resolve(import.meta.dirname, "../bin/svcproxy.cjs")];
const FILE = "/run/svcproxy-lab/topology.json";

const text = JSON.stringify({
  hosts: [1, 2].map((host) => ({
    name: `h${host}`,
    address: `192.168.1.${host + 5}`,
    podCIDR: `10.5.${host}.0/24`,
    pods: [{ name: `p${host}`, address: `10.5.${host}.2:3000` }],
  })),
  services: Array.from({ length: SERVICES }, (_, index) => ({
    name: `svc${index}`,
    clusterIP: `10.100.${Math.floor(index / 250)}.${(index % 250) + 1}`,
    ports: [{ port: 80 }],
    endpoints: ["p1", "p2"],
  })),
});

const { topology } = parseTopology(Buffer.from(text), { file: "bench" });
await using started = await startLab(topology, {
  name: "bench-doctor",
  overlay: "vxlan",
  files: { "topology.json": text },
});
const { lab } = started;

for (const dataPath of DATA_PATHS) {
  for (const host of ["h1", "h2"]) await run(host, [...command, dataPath, "apply", FILE, "--host", host, "--quiet"]);
  await measure(`${dataPath}, one service`, 3, ["--service", "svc0"]);
  await measure(`${dataPath}, ${SERVICES} services`, 15, []);
  await run("h2", ["iptables", "-I", "INPUT", "-p", "udp", "--dport", "8472", "-j", "DROP"]);
  await measure(`${dataPath}, ${SERVICES} services, half of the endpoints silent`, 15, []);
  await run("h2", ["iptables", "-D", "INPUT", "-p", "udp", "--dport", "8472", "-j", "DROP"]);
  for (const host of ["h1", "h2"]) await run(host, [...command, dataPath, "cleanup", "--quiet"]);
}

async function measure(what: string, mostSeconds: number, flags: readonly string[]): Promise<void> {
  const startMs = performance.now();
  const { exitCode, stdout, stderr } = await lab.run("h1", [
    ...command,
    "doctor",
    FILE,
    "--host",
    "h1",
    "--json",
    ...flags,
  ]);
  const seconds = (performance.now() - startMs) / 1_000;
  if (![0, 3, 4].includes(exitCode)) throw new Error(stderr);
  const { causes, open, looked } = JSON.parse(stdout);
  process.stdout.write(
    `${what}: ${seconds.toFixed(1)} s (at most ${mostSeconds} s); ${looked.ways} ways, ${looked.dials} connections, ${looked.pings} pings; ${causes.length} causes, ${open.length} not decided\n`,
  );
}

async function run(host: string, args: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await lab.run(host, args);
  if (exitCode !== 0) throw new Error(`${args.join(" ")}: ${stderr}`);
}
