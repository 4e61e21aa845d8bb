import { type Lab, type Overlay, type StartedLab, startLab } from "@svcproxy/lab";
import { parseTopology, type TopologyFile } from "@svcproxy/topology";
import type { DataPath } from "../data-paths.ts";
import { HOSTS, TOPOLOGY_FILE } from "../hosts.ts";
import type { Ask, AskOutcome } from "./ask.ts";
import { type CaptureRequest, captureWhile } from "./capture.ts";
import { Probes } from "./probes.ts";

export const HOST_NAMES = HOSTS.hosts.map(({ name }) => name);

export interface StageOptions {
  readonly dataPath: DataPath;
  readonly overlay: Overlay;
  /** The lab stays when we end. */
  readonly keep: boolean;
}

/** A lab with one data path on its hosts: where scenarios play. */
export class Stage implements AsyncDisposable {
  readonly dataPath: DataPath;
  readonly overlay: Overlay;
  readonly lab: Lab;
  readonly #started: StartedLab;
  readonly #probes: Probes;
  #topology = JSON.stringify(HOSTS);

  private constructor({ dataPath, overlay }: StageOptions, started: StartedLab) {
    this.dataPath = dataPath;
    this.overlay = overlay;
    this.lab = started.lab;
    this.#started = started;
    this.#probes = new Probes(started.lab);
  }

  static async open(options: StageOptions): Promise<Stage> {
    const text = JSON.stringify(HOSTS);
    const { topology } = parseTopology(Buffer.from(text), { file: "hosts.ts" });
    const { dataPath, overlay, keep } = options;
    const name = `e2e-${dataPath.name}-${overlay}`;
    const started = await startLab(topology, { name, overlay, detached: keep, files: { "topology.json": text } });
    const stage = new Stage(options, started);
    try {
      await Promise.all(HOST_NAMES.map((host) => dataPath.start(stage.lab, host)));
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Connections from a place to `10.100.100.1:7070` or `[fd00:100::1]:7070`. */
  ask(place: string, to: string, options: Partial<Ask> = {}): Promise<readonly AskOutcome[]> {
    const [, six, four, port] = /^(?:\[(.+)\]|([^:]+)):(\d+)$/.exec(to) ?? [];
    const ask = { protocol: "tcp", times: 1, parallel: 8, timeoutMs: 10_000, ...options } as const;
    return this.#probes.ask(place, { ...ask, address: six ?? four ?? "", port: Number(port) });
  }

  /** Uses the connections that a place has kept open (`keep`), each once. */
  poke(place: string): Promise<readonly AskOutcome[]> {
    return this.#probes.poke(place, 10_000);
  }

  capture(request: CaptureRequest, action: () => Promise<void>): Promise<string> {
    return captureWhile(this.lab, request, action);
  }

  /** Runs a command on a host. @throws Error where it fails */
  async run(host: string, command: readonly string[], options: { readonly input?: string } = {}): Promise<string> {
    const { exitCode, stdout, stderr } = await this.lab.run(host, command, options);
    if (exitCode !== 0) throw new Error(`"${command.join(" ")}" on ${host} failed: ${stderr.trim()}`);
    return stdout;
  }

  /** Replaces the topology, and returns once every host serves the new one. */
  async change(topology: TopologyFile): Promise<void> {
    const text = JSON.stringify(topology);
    if (text === this.#topology) return;
    this.#topology = text;
    await this.write(text);
    await Promise.all(HOST_NAMES.map((name) => this.dataPath.change(this.lab, name)));
  }

  /** Puts a text in the place of the topology's file, as a whole. */
  async write(text: string): Promise<void> {
    const [host = ""] = HOST_NAMES;
    const replace = `cat >${TOPOLOGY_FILE}.new && mv ${TOPOLOGY_FILE}.new ${TOPOLOGY_FILE}`;
    await this.run(host, ["sh", "-c", replace], { input: text });
  }

  /** The address of a client as an endpoint sees it where `host` has put its own in place of the client's. */
  addressTowards(endpoint: string, { host, family }: { readonly host: string; readonly family: 4 | 6 }): string {
    const place = HOSTS.hosts.find(({ name }) => name === host);
    const own = place?.addresses[family === 4 ? 0 : 1] ?? "";
    const network = place?.podCIDRs[family === 4 ? 0 : 1]?.replace(/\/\d+$/, "") ?? "";
    if (place?.pods.some(({ name }) => name === endpoint))
      return network.replace(/(\.0|::)$/, family === 4 ? ".1" : "::1");
    return this.overlay === "vxlan" ? network : own;
  }

  stopProbes(): void {
    this.#probes.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#probes.stop();
    await this.#started[Symbol.asyncDispose]();
  }
}
