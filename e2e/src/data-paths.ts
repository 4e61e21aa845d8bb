import { resolve } from "node:path";
import { type Lab, startInBackground } from "@svcproxy/lab";
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
  /** Makes a host serve the topology. Returns once it does. */
  start(lab: Lab, host: string): Promise<void>;
  /** The topology has changed: returns once the host serves the new one. */
  change(lab: Lab, host: string): Promise<void>;
}

/** The document's last rule on cloudos1, taken away. */
const LAST_RULE = ["-t", "nat", "-D", "POSTROUTING", "-s", "192.168.1.6/32", "-j", "MASQUERADE"] as const;

/** Each entry is a column of the matrix. A new data path joins by an entry of its own. */
export const DATA_PATHS: readonly DataPath[] = [
  nftables(),
  iptables("nft", "document"),
  iptables("legacy", "document"),
  iptables("nft", "kubernetes"),
  userspace(),
  agent(),
];

/** The command as people run it from a checkout. */
const SVCPROXY = [resolve(import.meta.dirname, "../../scripts/svcproxy")];

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

/** `svcproxy run`, with the data path that it chooses: nftables. What another program takes away it puts back. */
function agent(): DataPath {
  return {
    name: "run",
    showsClient: true,
    async start(lab, host) {
      await startInBackground(lab, {
        place: host,
        command: [...SVCPROXY, "run", TOPOLOGY_FILE, "--host", host],
        log: "/run/run.log",
        readyText: '"msg":"following"',
        env: { SVCPROXY_LOG_LEVEL: "info" },
      });
    },
    async change(lab, host) {
      const diff = [...SVCPROXY, "nftables", "diff", TOPOLOGY_FILE, "--host", host];
      // It has seen the file change, and may have served it by now.
      for (let round = 0; round < CHANGE_LOOKS; round++) {
        const { exitCode } = await lab.run(host, diff, { env: { SVCPROXY_LOG_LEVEL: "error" } });
        if (exitCode === 0) return;
      }
      throw new Error(`svcproxy run on ${host} does not come to serve ${TOPOLOGY_FILE}`);
    },
  };
}

/** Each takes a start of the command. */
const CHANGE_LOOKS = 50;

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
