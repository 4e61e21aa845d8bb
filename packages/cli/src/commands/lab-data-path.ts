import { isAbsolute, resolve } from "node:path";
import process from "node:process";
import type { Lab } from "@svcproxy/lab";
import { EnvironmentError, type Topology } from "@svcproxy/topology";

export type LabDataPath = "iptables" | "userspace" | "none";

export interface DataPathOptions {
  readonly dataPath: LabDataPath;
  /** Arguments that name the topology, as every place of the lab sees it. */
  readonly topologyArgs: readonly string[];
  readonly variant?: string | undefined;
  readonly dialect?: string | undefined;
}

/** Where the proxy of a host writes its log; every host has a /run of its own. */
export const USERSPACE_LOG = "/run/svcproxy-userspace.log";

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
  const { exitCode, stdout, stderr } = await lab.run(host, commandFor(host, options), {
    env: { SVCPROXY_LOG_LEVEL: process.env["SVCPROXY_LOG_LEVEL"] ?? "warn" },
  });
  if (exitCode === 0) return undefined;
  const said = `${stderr}${stdout}`.trim().split("\n").slice(-8).join("\n");
  return new EnvironmentError(
    "LAB_DATA_PATH",
    `Cannot put ${options.dataPath} on host ${JSON.stringify(host)}: ${said}`,
  );
}

function commandFor(host: string, { dataPath, topologyArgs, variant, dialect }: DataPathOptions): readonly string[] {
  const shared = [...topologyArgs, "--host", host];
  if (dataPath === "iptables") {
    const flags = [...flag("--variant", variant), ...flag("--dialect", dialect)];
    return [...ownProgram(), "iptables", "apply", ...shared, ...flags];
  }
  return ["sh", "-c", START_PROXY, "sh", USERSPACE_LOG, ...ownProgram(), "userspace", ...shared];
}

/** Starts the proxy in the background and waits until it listens; where it ends at once, its log says why. */
const START_PROXY = `
log=$1; shift
"$@" </dev/null >"$log" 2>&1 &
pid=$!
tries=0
while kill -0 "$pid" 2>/dev/null; do
  if ss -Hlntu -p 2>/dev/null | grep -q "pid=$pid,"; then exit 0; fi
  tries=$((tries + 1))
  [ "$tries" -lt 200 ] || { echo "it does not listen after 20 s" >&2; break; }
  sleep 0.1
done
cat "$log" >&2
exit 1
`;

/** This program, as it was started. */
export function ownProgram(): readonly string[] {
  const [, script = ""] = process.argv;
  return [process.execPath, ...process.execArgv, isAbsolute(script) ? script : resolve(script)];
}

function flag(name: string, value: string | undefined): readonly string[] {
  return value === undefined ? [] : [name, value];
}

/** How a lab runs its inner programs where all of svcproxy is one bundled file; from sources they are files of their own. */
export function insideProgram(): { readonly insideProgram?: readonly string[] } {
  const isBundle = process.argv[1]?.endsWith(".ts") !== true;
  return isBundle ? { insideProgram: [...ownProgram(), "lab", "inside"] } : {};
}
