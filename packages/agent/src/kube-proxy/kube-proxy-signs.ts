import { request } from "node:http";
import type { Listener, Machine } from "@svcproxy/host";
import type { IpAddress } from "@svcproxy/topology";
import { type ApiObject, objectOf, textOf } from "../kubernetes/api-error.ts";

/** Signs that a kube-proxy runs in this network namespace. */
export interface KubeProxySigns {
  /** Its process; undefined: none that can be seen, because there is none or because it is in another container. */
  readonly pid: number | undefined;
  /** Ports on which something answers as kube-proxy does. */
  readonly ports: readonly number[];
}

/** kube-proxy's health and metrics. */
const KUBE_PROXY_PORTS: readonly number[] = [10256, 10249];
const ANSWER_MS = 1_000;

/** @param ownPorts those that this process has */
export async function readKubeProxySigns(
  machine: Pick<Machine, "readListeners" | "readProcesses">,
  { ownPorts }: { readonly ownPorts: ReadonlySet<number> },
): Promise<KubeProxySigns> {
  const [processes, ports] = await Promise.all([machine.readProcesses(), findPorts(machine, ownPorts)]);
  const pid = processes.find(({ command }) => command === "kube-proxy")?.pid;
  return { pid, ports };
}

/** Whether a kube-proxy shows itself here, by its process or by an answer on its ports. */
export function isAlive({ pid, ports }: KubeProxySigns): boolean {
  return pid !== undefined || ports.length > 0;
}

/** How people are told. */
export function describeSigns({ pid, ports }: KubeProxySigns): string {
  const parts = [
    ...(pid === undefined ? [] : [`pid ${pid}`]),
    ...(ports.length === 0 ? [] : [`it answers on port ${ports.join(" and ")}`]),
  ];
  return parts.join(", ");
}

async function findPorts(
  machine: Pick<Machine, "readListeners">,
  ownPorts: ReadonlySet<number>,
): Promise<readonly number[]> {
  const wanted = KUBE_PROXY_PORTS.filter((port) => !ownPorts.has(port));
  if (wanted.length === 0) return [];
  const listeners = (await machine.readListeners()).filter(
    ({ protocol, port }) => protocol === "tcp" && wanted.includes(port),
  );
  const answers = await Promise.all(listeners.map(async (one) => ((await answersAsKubeProxy(one)) ? [one.port] : [])));
  return [...new Set(answers.flat())];
}

/**
 * Whether a kube-proxy here has written its rules.
 *
 * @returns undefined where none answers on the usual port
 */
export async function hasKubeProxySynced(machine: Pick<Machine, "readListeners">): Promise<boolean | undefined> {
  const listeners = (await machine.readListeners()).filter(
    ({ protocol, port }) => protocol === "tcp" && port === 10256,
  );
  for (const { address, port } of listeners) {
    const members = membersOf(await ask({ address, port, path: "/healthz" }));
    // By IP family, those that were synced; what is well has a time of now beside it, synced or not.
    if ("status" in members && "lastUpdated" in members) return Object.keys(objectOf(members["status"])).length > 0;
    const updated = Date.parse(textOf(members["lastUpdated"]) ?? "");
    // Earlier versions say the year 1 before the first one.
    if (!Number.isNaN(updated)) return updated > 0;
  }
  return undefined;
}

/** Its health has members that nobody else's has, and ours has more than those; its metrics port says its mode. */
async function answersAsKubeProxy({ address, port }: Listener): Promise<boolean> {
  const mode = await ask({ address, port, path: "/proxyMode" });
  if (port !== 10256) return /^(?:iptables|nftables|ipvs)$/.test(mode.trim());
  const members = membersOf(await ask({ address, port, path: "/healthz" }));
  return "lastUpdated" in members && "currentTime" in members && !("state" in members);
}

function membersOf(body: string): ApiObject {
  try {
    return objectOf(JSON.parse(body));
  } catch {
    return {};
  }
}

function ask({
  address,
  port,
  path,
}: {
  readonly address: IpAddress;
  readonly port: number;
  readonly path: string;
}): Promise<string> {
  const host = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
  return new Promise((resolve) => {
    const asked = request({ host, port, path, timeout: ANSWER_MS, agent: false }, async (response) => {
      let text = "";
      try {
        for await (const chunk of response.setEncoding("utf8")) text = `${text}${chunk}`.slice(0, 4096);
      } catch {
        // What came is what counts.
      }
      resolve(text);
    });
    asked.once("timeout", () => asked.destroy()).once("error", () => resolve(""));
    asked.end();
  });
}
