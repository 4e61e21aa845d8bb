import { type ChildProcess, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { endInside, type Lab, startLab } from "@svcproxy/lab";
import { parseTopology } from "@svcproxy/topology";
import { inject } from "vitest";

/** Three hosts, each with another data path. */
export const ETCD_HOSTS = [
  { name: "h1", address: "192.168.1.11", dataPath: "nftables" },
  { name: "h2", address: "192.168.1.12", dataPath: "iptables" },
  { name: "h3", address: "192.168.1.13", dataPath: "userspace" },
] as const;

type HostName = (typeof ETCD_HOSTS)[number]["name"];

/** A service of which a host runs one endpoint, and one of which it runs four. */
const PORTS = { one: [3100], many: [3101, 3102, 3103, 3104] } as const;

export const TOPOLOGY = `hosts:
${ETCD_HOSTS.map(({ name, address }, index) => `  - { name: ${name}, address: ${address}, podCIDR: 10.5.${index + 1}.0/24 }`).join("\n")}
services:
  - { name: one, clusterIP: 10.96.0.1, ports: [{ port: 80 }] }
  - { name: many, clusterIP: 10.96.0.2, ports: [{ port: 80 }] }
`;

/** Answers on each port with its own name; ends with its process. */
const APPLICATION = `
const [address, ...ports] = process.argv.slice(1);
for (const port of ports)
  require("node:http").createServer((_, answer) => answer.end(address + ":" + port)).listen(Number(port), address);
`;

/** Dials both services again and again, and says who answered. */
const CLIENT = `
const { get } = require("node:http");
for (const [service, host] of [["one", "10.96.0.1"], ["many", "10.96.0.2"]]) {
  const dial = () => {
    const say = (by, error) => { console.log(JSON.stringify({ service, by, error })); setTimeout(dial, 25); };
    const request = get({ host, port: 80, agent: false, timeout: 1000 }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part) => (text += part)).on("end", () => say(text));
    });
    request.on("timeout", () => request.destroy(new Error("timeout"))).on("error", (error) => say(undefined, error.message));
  };
  dial();
}
`;

/** What became of one connection. */
export interface Dial {
  readonly service: "one" | "many";
  readonly by?: string;
  readonly error?: string;
  readonly at: number;
}

/** Hosts of a lab that follow one etcd, an application and its registrations on each, and clients that dial all the while. */
export class EtcdLab implements AsyncDisposable {
  readonly lab: Lab;
  readonly url: string;
  readonly dials: Readonly<Record<HostName, Dial[]>> = { h1: [], h2: [], h3: [] };
  readonly #folder: string;
  readonly #end: () => Promise<void>;
  readonly #running = new Map<string, ChildProcess[]>();
  readonly #said = new Map<string, string>();

  private constructor({
    lab,
    folder,
    end,
    etcd,
  }: { lab: Lab; folder: string; end: () => Promise<void>; etcd: string }) {
    this.lab = lab;
    this.#folder = folder;
    this.#end = end;
    this.url = `etcd://${etcd}:2379/svcproxy`;
  }

  static async start(): Promise<EtcdLab> {
    const folder = await mkdtemp(join(tmpdir(), "svcproxy-etcd-lab-"));
    const { topology } = parseTopology(Buffer.from(TOPOLOGY), { file: "lab" });
    const started = await startLab(topology, { overlay: "host-gw", name: `etcd-${process.pid}` });
    const client = started.lab.process.places.find(({ kind }) => kind === "client");
    const [etcd = ""] = client?.addresses ?? [];
    const end = async () => started[Symbol.asyncDispose]();
    const world = new EtcdLab({ lab: started.lab, folder, end, etcd });
    await world.startEtcd();
    return world;
  }

  async startEtcd(): Promise<void> {
    const all = "http://0.0.0.0:2379";
    this.#spawn("etcd", "client", [
      ...["etcd", "--data-dir", join(this.#folder, "data"), "--unsafe-no-fsync"],
      ...["--listen-client-urls", all, "--advertise-client-urls", all, "--listen-peer-urls", "http://127.0.0.1:2380"],
      ...["--heartbeat-interval", "50", "--election-timeout", "500"],
    ]);
    await this.until(
      () => /ready to serve client requests/.test(this.said("etcd")),
      () => this.said("etcd"),
    );
  }

  /** kill -9. */
  killEtcd(): void {
    this.#kill("etcd");
  }

  async svcproxy(place: string, args: readonly string[], input?: string) {
    const options = input === undefined ? {} : { input };
    return this.lab.run(place, [process.execPath, inject("program"), ...args], options);
  }

  startAgent(host: HostName): void {
    const { dataPath } = hostOf(host);
    this.#spawn(`agent ${host}`, host, this.#program(["run", this.url, "--host", host, "--data-path", dataPath]));
  }

  startApplication(host: HostName): void {
    const ports = Object.values(PORTS).flat().map(String);
    this.#spawn(`application ${host}`, host, [process.execPath, "-e", APPLICATION, hostOf(host).address, ...ports]);
  }

  killApplication(host: HostName): void {
    this.#kill(`application ${host}`);
  }

  /** One program for each endpoint. */
  startRegistrations(host: HostName): void {
    for (const [service, ports] of Object.entries(PORTS)) {
      for (const port of ports) {
        const flags = ["--check", "tcp", "--ttl", "2s", "--drain-time", "0s", "--etcd", this.url];
        const address = `${hostOf(host).address}:${port}`;
        this.#spawn(`register ${host}`, host, this.#program(["register", service, "--address", address, ...flags]));
      }
    }
  }

  /** kill -9: they say nothing any more. */
  killRegistrations(host: HostName): void {
    this.#kill(`register ${host}`);
  }

  startClient(host: HostName): void {
    const child = this.#spawn(`client ${host}`, host, [process.execPath, "-e", CLIENT]);
    let rest = "";
    child.stdout?.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.dials[host].push({ ...JSON.parse(line), at: performance.now() });
    });
  }

  /** No packet between a host and etcd. */
  async cutOff(host: HostName, isCut: boolean): Promise<void> {
    const [etcd = ""] = /[\d.]+(?=:2379)/.exec(this.url) ?? [];
    const { exitCode, stderr } = await this.lab.run(host, [
      "ip",
      "route",
      isCut ? "add" : "del",
      "blackhole",
      `${etcd}/32`,
    ]);
    if (exitCode !== 0) throw new Error(stderr);
  }

  async status(host: HostName): Promise<Readonly<Record<string, unknown>>> {
    return JSON.parse((await this.svcproxy(host, ["status", "--json"])).stdout);
  }

  said(name: string): string {
    return this.#said.get(name) ?? "";
  }

  /** Waits until it is so, however long a busy machine takes. @throws Error with `otherwise` */
  async until(isSo: () => boolean | Promise<boolean>, otherwise: () => string): Promise<void> {
    const deadline = performance.now() + 60_000;
    while (!(await isSo())) {
      if (performance.now() > deadline) throw new Error(otherwise());
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #program(args: readonly string[]): readonly string[] {
    return [process.execPath, inject("program"), ...args];
  }

  #spawn(name: string, place: string, command: readonly string[]): ChildProcess {
    const child = this.lab.spawn(place, command, { stdio: ["ignore", "pipe", "pipe"] });
    this.#running.set(name, [...(this.#running.get(name) ?? []), child]);
    const keep = (text: string) => this.#said.set(name, (this.said(name) + text).slice(-20_000));
    child.stdout?.setEncoding("utf8");
    if (!name.startsWith("client")) child.stdout?.on("data", keep);
    child.stderr?.setEncoding("utf8").on("data", keep);
    return child;
  }

  #kill(name: string): void {
    for (const child of this.#running.get(name) ?? []) endInside(child, "SIGKILL");
    this.#running.delete(name);
    this.#said.delete(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function hostOf(name: HostName) {
  const host = ETCD_HOSTS.find((one) => one.name === name);
  if (host === undefined) throw new Error(name);
  return host;
}

/** Every endpoint of a service, as it names itself. */
export function endpointsOf(
  service: "one" | "many",
  hosts: readonly HostName[] = ["h1", "h2", "h3"],
): readonly string[] {
  return hosts.flatMap((host) => PORTS[service].map((port) => `${hostOf(host).address}:${port}`)).toSorted();
}

export function whyNoEtcdProgram(): string | undefined {
  if (spawnSync("etcd", ["--version"]).status === 0) return undefined;
  if (process.env["CI"] === "true") throw new Error("CI skips nothing, but etcd is missing");
  return "etcd missing";
}
