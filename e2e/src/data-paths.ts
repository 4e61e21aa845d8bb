import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Lab, type Overlay, startInBackground } from "@svcproxy/lab";
import { TOPOLOGY_FILE } from "./hosts.ts";

/** One way to keep the promise; every scenario that it can carry runs on it. */
export interface DataPath {
  readonly name: string;
  /** Whether endpoints see the client's own address where the promise lets them. */
  readonly showsClient: boolean;
  /**
   * The command that takes away what rewrites the source of a host's own connections to services, the purpose of the document's last
   * rule, where that can be taken away.
   */
  readonly stopHostMasquerade?: readonly [string, ...string[]];
  /** On these alone it is played; absent: on all. */
  readonly overlays?: readonly Overlay[];
  /** Where an agent keeps the hosts. */
  readonly agent?: AgentColumn;
  /** Makes a host serve the topology. Returns once it does. */
  start(lab: Lab, host: string): Promise<void>;
  /** The topology is another one: returns once the host serves the new one. */
  change(lab: Lab, host: string): Promise<void>;
}

export interface AgentColumn {
  /** What starts one, but for its host. */
  readonly command: readonly string[];
  /** A shell command by which another program takes away what makes it serve. */
  readonly damage: string;
  /** Whether what it wrote serves on when it is killed. */
  readonly survivesKill: boolean;
}

/** The document's last rule on cloudos1, taken away. */
const LAST_RULE = ["-t", "nat", "-D", "POSTROUTING", "-s", "192.168.1.6/32", "-j", "MASQUERADE"] as const;

/** The command as people run it from a checkout. */
const SVCPROXY = [resolve(import.meta.dirname, "../../scripts/svcproxy")];

/** What another program does to ours. */
const DAMAGE = {
  nftables: "nft delete table ip svcproxy",
  iptables: "iptables-nft -t nat -F PREROUTING && iptables-nft -t nat -F OUTPUT",
  userspace: "ip link delete svcproxy0",
} as const;

/** Each entry is a column of the matrix. A new data path joins by an entry of its own. */
export const DATA_PATHS: readonly DataPath[] = [
  nftables(),
  iptables("nft", "document"),
  iptables("legacy", "document"),
  iptables("nft", "kubernetes"),
  userspace(),
  agent("nftables"),
  agent("iptables"),
  agent("userspace"),
];

function nftables(): DataPath {
  const apply = async (lab: Lab, host: string) => {
    await svcproxy(lab, host, ["nftables", "apply", TOPOLOGY_FILE, "--host", host]);
  };
  return {
    name: "nftables",
    showsClient: true,
    stopHostMasquerade: ["nft", "flush chain ip svcproxy internal; add rule ip svcproxy internal goto balance"],
    start: apply,
    change: apply,
  };
}

function iptables(variant: "nft" | "legacy", dialect: "document" | "kubernetes"): DataPath {
  const apply = async (lab: Lab, host: string) => {
    await svcproxy(lab, host, [
      "iptables",
      "apply",
      TOPOLOGY_FILE,
      "--host",
      host,
      "--variant",
      variant,
      "--dialect",
      dialect,
    ]);
  };
  return {
    name: dialect === "document" ? `iptables-${variant}` : `iptables-${variant}-${dialect}`,
    showsClient: true,
    ...(dialect === "document" ? { stopHostMasquerade: [`iptables-${variant}`, ...LAST_RULE] } : {}),
    start: apply,
    change: apply,
  };
}

function userspace(): DataPath {
  return {
    name: "userspace",
    showsClient: false,
    async start(lab, host) {
      await startInBackground(lab, {
        place: host,
        command: [...SVCPROXY, "userspace", TOPOLOGY_FILE, "--host", host],
        log: "/run/userspace.log",
        readyText: '"msg":"serving ',
        env: { SVCPROXY_LOG_LEVEL: "info" },
      });
    },
    async change(lab, host) {
      const before = await readStatus(lab, host);
      await lab.run(host, ["kill", "-HUP", String(before.pid)]);
      for (let now = before; now.loadedAt === before.loadedAt; now = await readStatus(lab, host));
    },
  };
}

/** `svcproxy run`, which puts back what another program takes away. Without a name of a data path it chooses: nftables. */
function agent(carrier: "nftables" | "iptables" | "userspace"): DataPath {
  const chosen = carrier === "nftables" ? [] : ["--data-path", carrier];
  const run = [...SVCPROXY, "run", TOPOLOGY_FILE, ...chosen];
  return {
    name: carrier === "nftables" ? "run" : `run-${carrier}`,
    showsClient: carrier !== "userspace",
    // What an overlay changes is seen with the one that it chooses.
    ...(carrier === "nftables" ? {} : { overlays: ["vxlan"] }),
    agent: { command: run, damage: DAMAGE[carrier], survivesKill: carrier !== "userspace" },
    async start(lab, host) {
      await startInBackground(lab, {
        place: host,
        command: [...run, "--host", host],
        log: "/run/run.log",
        readyText: '"msg":"following"',
        env: { SVCPROXY_LOG_LEVEL: "info" },
      });
    },
    async change(lab, host) {
      const { exitCode, stdout } = await lab.run(host, ["stat", "-c", "%.3Y", TOPOLOGY_FILE]);
      if (exitCode !== 0) throw new Error(`${TOPOLOGY_FILE} is not on ${host}`);
      const changedMs = 1_000 * Number(stdout);
      await agentIs(lab, host, ({ state, source, appliedAt = "" }) => {
        const readMs = Date.parse(source.readAt ?? "");
        return state === "following" && readMs >= changedMs && Date.parse(appliedAt) >= readMs;
      });
    },
  };
}

/** What `svcproxy status --json` tells, as far as it is looked at. */
export interface AgentStatus {
  readonly pid: number;
  readonly state: string;
  readonly source: { readonly readAt?: string };
  readonly appliedAt?: string;
  readonly kernel: { readonly mended: number };
}

/** Waits until the agent of a host stands so. @returns its status @throws Error with the last one where it does not come to */
export async function agentIs(lab: Lab, host: string, isSo: (status: AgentStatus) => boolean): Promise<AgentStatus> {
  let last = "";
  for (let look = 0; look < STATUS_LOOKS; look++) {
    const { stdout } = await lab.run(host, ["sh", "-c", ASK_AGENT]);
    if (stdout !== "") {
      const status: AgentStatus = JSON.parse(stdout);
      if (isSo(status)) return status;
    }
    last = stdout;
    await delay(STATUS_LOOK_MS);
  }
  throw new Error(`svcproxy run on ${host} does not come to where it should be: ${last}`);
}

/** What `svcproxy status --json` asks; without a start of the command, many times quicker. */
const ASK_AGENT = "curl -s --unix-socket /run/svcproxy/agent*.sock http://agent/v1/status || true";
const STATUS_LOOKS = 300;
const STATUS_LOOK_MS = 50;

async function readStatus(lab: Lab, host: string): Promise<{ readonly pid: number; readonly loadedAt: string }> {
  const status: { pid: number; topology: { loadedAt: string } } = JSON.parse(
    await svcproxy(lab, host, ["userspace", "status", "--json"]),
  );
  return { pid: status.pid, loadedAt: status.topology.loadedAt };
}

async function svcproxy(lab: Lab, host: string, args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await lab.run(host, [...SVCPROXY, ...args], {
    env: { SVCPROXY_LOG_LEVEL: "error" },
  });
  if (exitCode !== 0) throw new Error(`svcproxy ${args.join(" ")} failed on ${host}: ${stderr.trim()}`);
  return stdout;
}
