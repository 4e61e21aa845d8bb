import process from "node:process";
import type { Lab } from "@svcproxy/lab";
import { EnvironmentError, type Topology } from "@svcproxy/topology";
import { ownProgram } from "../command-line/this-program.ts";

export type LabDataPath = "iptables" | "userspace" | "none";

export interface DataPathOptions {
  readonly dataPath: LabDataPath;
  /** Arguments that name the topology, as every place of the lab sees it. */
  readonly topologyArgs: readonly string[];
  readonly variant?: string | undefined;
  readonly dialect?: string | undefined;
}

/** Where the proxy of a host writes its log; every host has a /run of its own. */
const USERSPACE_LOG = "/run/svcproxy-userspace.log";

/**
 * Puts the data path on every host of the lab, by running this same program there.
 *
 * @throws EnvironmentError LAB_DATA_PATH with what it said on the first host that failed
 */
export async function applyDataPath(lab: Lab, topology: Topology, options: DataPathOptions): Promise<void> {
  if (options.dataPath === "none") return;
  const hosts = topology.hosts.map(({ name }) => name);
  const failures = await Promise.all(hosts.map((host) => applyOnHost(lab, host, options)));
  const [first] = failures.filter((failure) => failure !== undefined);
  if (first !== undefined) throw first;
}

async function applyOnHost(lab: Lab, host: string, options: DataPathOptions): Promise<EnvironmentError | undefined> {
  try {
    await (options.dataPath === "userspace" ? startProxy(lab, host, options) : applyRules(lab, host, options));
    return undefined;
  } catch (error) {
    if (error instanceof EnvironmentError) return error;
    throw error;
  }
}

async function applyRules(lab: Lab, host: string, { topologyArgs, variant, dialect }: DataPathOptions): Promise<void> {
  const flags = [...flag("--variant", variant), ...flag("--dialect", dialect)];
  const command = [...ownProgram(), "iptables", "apply", ...topologyArgs, "--host", host, ...flags];
  const { exitCode, stdout, stderr } = await lab.run(host, command, {
    env: { SVCPROXY_LOG_LEVEL: process.env["SVCPROXY_LOG_LEVEL"] ?? "warn" },
  });
  if (exitCode === 0) return;
  const said = `${stderr}${stdout}`.trim().split("\n").slice(-8).join("\n");
  throw new EnvironmentError("LAB_DATA_PATH", `Cannot put iptables rules on host ${JSON.stringify(host)}: ${said}`);
}

async function startProxy(lab: Lab, host: string, { topologyArgs }: DataPathOptions): Promise<void> {
  const { startInBackground } = await import("@svcproxy/lab");
  const command = [...ownProgram(), "userspace", ...topologyArgs, "--host", host];
  await startInBackground(lab, {
    place: host,
    command,
    log: USERSPACE_LOG,
    readyText: '"msg":"serving ',
    env: { SVCPROXY_LOG_LEVEL: "info" },
  });
}

function flag(name: string, value: string | undefined): readonly string[] {
  return value === undefined ? [] : [name, value];
}
