import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { EtcdClient } from "../client/etcd-client.ts";
import type { EtcdSettings } from "../client/etcd-settings.ts";

const NAMED = process.env["ETCD"] ?? "";
/** Debian's, and the one that `ETCD` names. */
export const ETCDS: readonly string[] = ["etcd", ...(NAMED === "" ? [] : [NAMED])];

/** Why there can be no tests with a real etcd; undefined: there can. @throws Error in CI, where nothing may be skipped */
export function whyNoEtcd(): string | undefined {
  const missing = ["etcd", "setpriv"].filter((tool) => spawnSync(tool, ["--version"]).status !== 0);
  if (missing.length === 0) return undefined;
  const reason = `${missing.join(" and ")} missing`;
  if (process.env["CI"] === "true") throw new Error(`CI skips nothing, but: ${reason}`);
  return reason;
}

export interface RealEtcdOptions {
  readonly program?: string;
  /** Further flags, for instance for TLS. */
  readonly flags?: readonly string[];
  readonly scheme?: "http" | "https";
}

/** An etcd of its own on loopback ports, which ends with this process. Leases may be as short as a second. */
export class RealEtcd implements AsyncDisposable {
  readonly settings: EtcdSettings;
  readonly #folder: string;
  readonly #options: RealEtcdOptions;
  readonly #ports: readonly [number, number];
  #child: ChildProcess | undefined;
  #generation = 0;

  private constructor(folder: string, ports: readonly [number, number], options: RealEtcdOptions) {
    this.#folder = folder;
    this.#ports = ports;
    this.#options = options;
    this.settings = { endpoints: [{ host: "127.0.0.1", port: ports[0] }], prefix: "/svcproxy" };
  }

  static async start(options: RealEtcdOptions = {}): Promise<RealEtcd> {
    const folder = await mkdtemp(join(tmpdir(), "svcproxy-etcd-"));
    const etcd = new RealEtcd(folder, [await freePort(), await freePort()], options);
    await etcd.start();
    return etcd;
  }

  get #data(): string {
    return join(this.#folder, `data-${this.#generation}`);
  }

  async start(): Promise<void> {
    const { program = "etcd", flags = [], scheme = "http" } = this.#options;
    const [client, peer] = this.#ports.map((port) => `127.0.0.1:${port}`);
    const child = spawn(
      "setpriv",
      [
        ...["--pdeathsig", "KILL", program, "--data-dir", this.#data],
        ...["--listen-client-urls", `${scheme}://${client}`, "--advertise-client-urls", `${scheme}://${client}`],
        ...["--listen-peer-urls", `http://${peer}`, "--initial-advertise-peer-urls", `http://${peer}`],
        ...["--initial-cluster", `default=http://${peer}`, "--heartbeat-interval", "50", "--election-timeout", "500"],
        ...["--unsafe-no-fsync", ...flags],
      ],
      { stdio: ["ignore", "ignore", "pipe"], cwd: this.#folder },
    );
    this.#child = child;
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-8_000);
    });
    for (let ms = 0; !/ready to serve client requests/.test(said); ms += 20) {
      if (child.exitCode !== null || ms > 30_000) throw new Error(`etcd does not start:\n${said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "close");
  }

  /** What is stored now, to go back to. Ends and starts it. @returns a folder */
  async snapshot(): Promise<string> {
    const copy = join(this.#folder, `snapshot-${this.#generation}-${Date.now()}`);
    await this.kill();
    await cp(this.#data, copy, { recursive: true });
    await this.start();
    return copy;
  }

  /** It is as it was; without a snapshot it is empty. */
  async restore(snapshot?: string): Promise<void> {
    await this.kill();
    this.#generation += 1;
    if (snapshot !== undefined) await cp(snapshot, this.#data, { recursive: true });
    await this.start();
  }

  /** Stops to answer, without a word. */
  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  goOn(): void {
    this.#child?.kill("SIGCONT");
  }

  client(settings: Partial<EtcdSettings> = {}): EtcdClient {
    return new EtcdClient({ ...this.settings, ...settings });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.goOn();
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("there is no port");
  return address.port;
}
