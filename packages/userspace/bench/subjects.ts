import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type BackgroundProcess, startProcess } from "./background-process.ts";

/** Where the servers behind the proxies listen, on 127.0.0.1. */
export const BACKEND_PORTS = { http: 9001, bulk: 9002, idle: 9003, udp: 9004 } as const;
export type Backend = keyof typeof BACKEND_PORTS;

/** A proxy under test. */
export interface Subject {
  readonly name: string;
  readonly address: string;
  readonly ports: Readonly<Record<Backend, number>>;
  readonly speaksUdp: boolean;
  start(): Promise<BackgroundProcess>;
}

/** The least that Node does for a connection: what the proxy costs beyond is its own. */
export const NODES_FLOOR = "Node's floor";

const LARGE_BUFFER_BYTES = 256 * 1024;
const MAX_CONNECTIONS = 9_000;
const TCP_BACKENDS = ["http", "bulk", "idle"] as const;

/** All subjects; the first one is what the others are compared with. */
export function makeSubjects(folder: string): readonly Subject[] {
  return [
    haproxy(folder, { name: "HAProxy", firstPort: 11_000 }),
    haproxy(folder, { name: "HAProxy 256 KiB", firstPort: 12_000, bufferBytes: LARGE_BUFFER_BYTES }),
    nginx(folder, { name: "nginx stream", firstPort: 13_000 }),
    nginx(folder, { name: "nginx 256 KiB", firstPort: 14_000, bufferBytes: LARGE_BUFFER_BYTES }),
    relay("pipe-relay", { name: "a.pipe(b)", firstPort: 15_000 }),
    relay("handle-relay", { name: NODES_FLOOR, firstPort: 18_000 }),
    svcproxy(folder, { name: "svcproxy", workers: 1, firstPort: 16_000 }),
  ];
}

interface PeerOptions {
  readonly name: string;
  readonly firstPort: number;
  /** The program's own default where absent. */
  readonly bufferBytes?: number;
}

function portsFrom(firstPort: number): Subject["ports"] {
  return { http: firstPort, bulk: firstPort + 1, idle: firstPort + 2, udp: firstPort + 3 };
}

function haproxy(folder: string, { name, firstPort, bufferBytes }: PeerOptions): Subject {
  const ports = portsFrom(firstPort);
  const file = join(folder, `haproxy-${firstPort}.cfg`);
  const proxies = TCP_BACKENDS.map(
    (backend) =>
      `listen ${backend}\n  bind 127.0.0.1:${ports[backend]}\n  server backend 127.0.0.1:${BACKEND_PORTS[backend]}\n`,
  );
  writeFileSync(
    file,
    `global
  nbthread 1
  maxconn ${MAX_CONNECTIONS}
${bufferBytes === undefined ? "" : `  tune.bufsize ${bufferBytes}\n`}defaults
  mode tcp
  maxconn ${MAX_CONNECTIONS}
  timeout connect 1s
  timeout client 15m
  timeout server 15m
${proxies.join("")}`,
  );
  const listensOn = { address: "127.0.0.1", port: ports.http };
  return {
    ...{ name, ports, address: "127.0.0.1", speaksUdp: false },
    start: () => startProcess(["haproxy", "-db", "-q", "-f", file], { listensOn }),
  };
}

function nginx(folder: string, { name, firstPort, bufferBytes }: PeerOptions): Subject {
  const ports = portsFrom(firstPort);
  const file = join(folder, `nginx-${firstPort}.conf`);
  const servers = TCP_BACKENDS.map(
    (backend) =>
      `  server { listen 127.0.0.1:${ports[backend]} backlog=4096; proxy_pass 127.0.0.1:${BACKEND_PORTS[backend]}; }\n`,
  );
  writeFileSync(
    file,
    `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
error_log stderr error;
pid ${file}.pid;
events { worker_connections 20000; }
stream {
  proxy_connect_timeout 1s;
  proxy_timeout 15m;
${bufferBytes === undefined ? "" : `  proxy_buffer_size ${bufferBytes};\n`}${servers.join("")}  server { listen 127.0.0.1:${ports.udp} udp; proxy_timeout 30s; proxy_pass 127.0.0.1:${BACKEND_PORTS.udp}; }
}
`,
  );
  const listensOn = { address: "127.0.0.1", port: ports.http };
  return {
    ...{ name, ports, address: "127.0.0.1", speaksUdp: bufferBytes === undefined },
    start: () => startProcess(["nginx", "-c", file, "-p", folder], { listensOn }),
  };
}

function relay(program: "pipe-relay" | "handle-relay", { name, firstPort }: PeerOptions): Subject {
  const ports = portsFrom(firstPort);
  const script = resolve(import.meta.dirname, `load/${program}.ts`);
  const pairs = TCP_BACKENDS.flatMap((backend) => [String(ports[backend]), String(BACKEND_PORTS[backend])]);
  const listensOn = { address: "127.0.0.1", port: ports.http };
  return {
    ...{ name, ports, address: "127.0.0.1", speaksUdp: false },
    start: () => startProcess(["node", script, ...pairs], { listensOn }),
  };
}

const VIP = "10.96.0.1";

/** As in real use: metrics on, limits set, timeouts armed, a VIP that it makes local itself. */
export function svcproxy(folder: string, { name, workers, firstPort }: PeerOptions & { workers: number }): Subject {
  const ports = portsFrom(firstPort);
  const file = join(folder, `topology-${firstPort}.json`);
  const service = (backend: Backend, protocol: string) => ({
    name: backend,
    clusterIP: VIP,
    ports: [{ port: ports[backend], protocol }],
    endpoints: [`127.0.0.1:${BACKEND_PORTS[backend]}`],
  });
  const services = [...TCP_BACKENDS.map((backend) => service(backend, "TCP")), service("udp", "UDP")];
  writeFileSync(file, JSON.stringify({ hosts: [{ name: "bench", address: "192.0.2.1" }], services }));
  const script = resolve(import.meta.dirname, "load/svcproxy.ts");
  const command = [
    "node",
    script,
    file,
    String(workers),
    String(MAX_CONNECTIONS),
    join(folder, "run"),
    `bench-${firstPort}`,
  ];
  return {
    ...{ name, ports, address: VIP, speaksUdp: true },
    start: () => startProcess(command, { listensOn: { address: VIP, port: ports.http } }),
  };
}
