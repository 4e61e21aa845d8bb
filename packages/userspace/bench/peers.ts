import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { startProcess } from "./background-process.ts";
import type { Comparison } from "./measurements.ts";
import { type Figures, MEASUREMENTS, type Measurement } from "./measurements.ts";
import { renderReport } from "./render-report.ts";
import { BACKEND_PORTS, makeSubjects, type Subject, svcproxy } from "./subjects.ts";

// Compares the proxy with HAProxy, nginx stream and a plain pipe relay. All take turns in each round, so that what else the
// machine does falls on all of them; ratios are of one round, and their median counts.

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string" },
    only: { type: "string" },
    inside: { type: "boolean", default: false },
  },
});
const WARM_UP_SECONDS = 1;
const rounds = Number(flags.rounds ?? (flags.quick ? 1 : 5));
const seconds = Number(flags.seconds ?? (flags.quick ? 1 : 2));

if (flags.inside) await main();
else process.exitCode = runInNamespace();

/**
 * A network namespace of its own: free ports, no other proxy, VIPs that disturb nobody. A load generator that closes first
 * keeps its port for a minute, and Linux lets it reuse ports only towards 127.0.0.0/8, where the peers listen: it shall
 * towards a VIP too, or half a minute of new connections measures the kernel's search for a free port.
 */
function runInNamespace(): number {
  const missing = ["haproxy", "nginx", "wrk", "iperf3", "unshare"].filter(
    (tool) => spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0,
  );
  if (missing.length > 0) {
    process.stderr.write(
      `The benchmark needs ${missing.join(", ")}: apt-get install haproxy nginx-light libnginx-mod-stream wrk iperf3\n`,
    );
    return 1;
  }
  const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  const script = 'ip link set lo up && echo 1 > /proc/sys/net/ipv4/tcp_tw_reuse && exec "$@"';
  const self = [process.execPath, import.meta.filename, "--inside", ...process.argv.slice(2)];
  const { status } = spawnSync(
    "unshare",
    [...asRoot, "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh", ...self],
    {
      stdio: "inherit",
    },
  );
  return status ?? 1;
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
  try {
    await using stack = new AsyncDisposableStack();
    for (const { command, ...where } of backends(folder)) stack.use(await startProcess(command, where));
    const subjects = makeSubjects(folder);
    const twoWorkers = svcproxy(folder, { name: "svcproxy, 2 workers", workers: 2, firstPort: 17_000 });
    const comparisons: Comparison[] = [];
    for (const measurement of MEASUREMENTS.filter(
      ({ name }) => flags.only === undefined || name.includes(flags.only),
    )) {
      const taking = [...subjects, ...(measurement.name === "new connections" ? [twoWorkers] : [])];
      comparisons.push(
        await compare(
          measurement,
          taking.filter((subject) => measurement.needsUdp !== true || subject.speaksUdp),
        ),
      );
    }
    const report = renderReport({ comparisons, rounds, seconds });
    process.stdout.write(report);
    if (!flags.quick && flags.only === undefined) {
      const file = resolve(import.meta.dirname, "../BENCHMARKS.md");
      writeFileSync(file, `${report}\n${writtenByHand(readFileSync(file, "utf8"))}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function compare(measurement: Measurement, subjects: readonly Subject[]): Promise<Comparison> {
  const results = new Map<string, Figures[]>(subjects.map(({ name }) => [name, []]));
  const measure = async (subject: Subject, pid: number, round: number) => {
    process.stderr.write(`${measurement.name}, round ${round}: ${subject.name}\n`);
    return measurement.run(subject, { pid, seconds: round === 0 ? WARM_UP_SECONDS : seconds });
  };
  if (measurement.repeats === "once") {
    for (const subject of subjects) {
      await using running = await subject.start();
      results.get(subject.name)?.push(await measure(subject, running.pid, 1));
    }
    return { measurement: measurement.name, results };
  }
  await using stack = new AsyncDisposableStack();
  const running: { subject: Subject; pid: number }[] = [];
  for (const subject of subjects) running.push({ subject, pid: stack.use(await subject.start()).pid });
  // Round 0 warms up: compiled code, caches, grown buffers.
  for (let round = 0; round <= rounds; round++) {
    for (const { subject, pid } of running) {
      const figures = await measure(subject, pid, round);
      if (round > 0) results.get(subject.name)?.push(figures);
    }
  }
  return { measurement: measurement.name, results };
}

interface Server {
  readonly command: readonly string[];
  readonly listensOn?: { readonly address: string; readonly port: number };
}

/** What stands behind the proxies. */
/** What a profile said is not measured here: it stays. */
function writtenByHand(text: string): string {
  const first = text.indexOf("## Where the time of a new connection goes");
  return first < 0 ? "" : text.slice(first);
}

function backends(folder: string): readonly Server[] {
  const config = join(folder, "backend.conf");
  writeFileSync(
    config,
    `daemon off; worker_processes 1; error_log stderr crit; pid ${config}.pid;
events { worker_connections 20000; }
http {
  access_log off; keepalive_requests 1000000000; client_body_temp_path ${folder}; proxy_temp_path ${folder};
  fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  server { listen 127.0.0.1:${BACKEND_PORTS.http} backlog=4096; location / { return 200 "ok"; } }
}
`,
  );
  const load = (name: string) => resolve(import.meta.dirname, `load/${name}.ts`);
  const on = (port: number) => ({ listensOn: { address: "127.0.0.1", port } });
  return [
    { command: ["nginx", "-c", config, "-p", folder], ...on(BACKEND_PORTS.http) },
    { command: ["iperf3", "-s", "-B", "127.0.0.1", "-p", String(BACKEND_PORTS.bulk)], ...on(BACKEND_PORTS.bulk) },
    { command: ["node", load("idle-backend"), String(BACKEND_PORTS.idle)], ...on(BACKEND_PORTS.idle) },
    { command: ["node", load("udp-echo"), String(BACKEND_PORTS.udp)] },
  ];
}
