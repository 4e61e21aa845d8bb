import { join } from "node:path";
import { type HostProgram, type ProxyHost, until } from "./proxy-host.ts";

/** Starts svcproxy beside the agent of this host, if any: in the same runtime directory, and with no kubeconfig of this machine. @param environment what `env` takes besides */
export function svcproxy(host: ProxyHost, args: readonly string[], environment: readonly string[] = []): HostProgram {
  return host.svcproxy(args, [
    "env",
    "-u",
    "KUBECONFIG",
    ...environment,
    `RUNTIME_DIRECTORY=${join(host.folder, "run")}`,
  ]);
}

/** Starts `svcproxy run` for host one of the topology that was written. */
export function runAgent(
  host: ProxyHost,
  flags: readonly string[] = [],
  environment: readonly string[] = [],
): HostProgram {
  return svcproxy(host, ["run", join(host.folder, "topology.yaml"), "--host", "one", ...flags], environment);
}

/** How a program ended, and what it printed. */
export async function endOf(program: HostProgram) {
  return { code: await program.end(), stdout: program.stdout, stderr: program.stderr };
}

/** What `svcproxy status --json` prints; nothing where no agent answers. */
export async function statusOf(host: ProxyHost): Promise<Readonly<Record<string, unknown>>> {
  const { stdout } = await endOf(svcproxy(host, ["status", "--json"]));
  return stdout === "" ? {} : JSON.parse(stdout);
}

/** Waits until the agent is in this state. */
export async function hasState(host: ProxyHost, state: string): Promise<void> {
  let last: Readonly<Record<string, unknown>> = {};
  await until(
    async () => {
      last = await statusOf(host);
      return last["state"] === state;
    },
    () => `it is not ${state}: ${JSON.stringify(last)}`,
  );
}
