import { request } from "node:http";
import type { Family } from "@svcproxy/topology";
import type { Machine } from "../machine/machine.ts";
import { findRuleTools, toolName } from "../tools/rule-tools.ts";
import { MissingTool } from "../tools/run-tool.ts";

/** One thing by which a kube-proxy shows. */
export type KubeProxyEvidence =
  /** A process of this network namespace. */
  | { readonly kind: "process"; readonly pid: number }
  /** Somebody answers on its health port as it does. */
  | { readonly kind: "health-port"; readonly port: number }
  /** The table of its nftables mode. */
  | { readonly kind: "table"; readonly family: Family }
  /** The chain by which its iptables and ipvs modes see that the rules were flushed. */
  | { readonly kind: "canary-chain"; readonly family: Family; readonly tool: string };

export interface FoundKubeProxy {
  /** Whether it runs; else its rules alone are there, and answer on. */
  readonly isRunning: boolean;
  /** At least one; running ones first. */
  readonly evidence: readonly KubeProxyEvidence[];
}

const PROGRAM = "kube-proxy";
const TABLE = "kube-proxy";
const CANARY = "KUBE-PROXY-CANARY";
export const KUBE_PROXY_HEALTH_PORT = 10256;
const ANSWER_TIMEOUT_MS = 1_000;
/** What it answers is some hundred bytes. */
const MAX_ANSWER_BYTES = 16 * 1024;

/**
 * Looks for a kube-proxy of this network namespace, or for what one left behind. Changes nothing. What this user may not see, and what needs a
 * tool that is not here, is not found.
 *
 * @returns undefined where there is no sign of one
 * @see kubernetes pkg/proxy/nftables/proxier.go, kubeProxyTable; pkg/proxy/iptables/proxier.go, kubeProxyCanaryChain
 */
export async function findKubeProxy(
  machine: Pick<Machine, "run" | "hasTool" | "readProcesses" | "readListeners">,
  { signal }: { readonly signal: AbortSignal },
): Promise<FoundKubeProxy | undefined> {
  const [processes, port, ...rules] = await Promise.all([
    machine.readProcesses(),
    healthPort(machine),
    tables(machine, signal),
    canaries(machine, signal),
  ]);
  const running: readonly KubeProxyEvidence[] = [
    ...processes.filter(({ command }) => command === PROGRAM).map(({ pid }) => ({ kind: "process", pid }) as const),
    ...port,
  ];
  const evidence = [...running, ...rules.flat()];
  return evidence.length === 0 ? undefined : { isRunning: running.length > 0, evidence };
}

/** `process 4711`, `port 10256, which answers as its health port does`, `table ip kube-proxy` */
export function describeKubeProxy({ evidence }: FoundKubeProxy): string {
  return evidence.map(describeEvidence).join(", ");
}

function describeEvidence(evidence: KubeProxyEvidence): string {
  switch (evidence.kind) {
    case "process":
      return `process ${evidence.pid}`;
    case "health-port":
      return `port ${evidence.port}, which answers as its health port does`;
    case "table":
      return `table ${evidence.family === 4 ? "ip" : "ip6"} ${TABLE}`;
    case "canary-chain":
      return `chain ${CANARY} of ${evidence.tool}`;
  }
}

/** Where it runs in a container, its process may be out of sight. */
async function healthPort(machine: Pick<Machine, "readListeners">): Promise<readonly KubeProxyEvidence[]> {
  const listens = (await machine.readListeners()).filter(
    ({ protocol, port }) => protocol === "tcp" && port === KUBE_PROXY_HEALTH_PORT,
  );
  const [first] = listens;
  if (first === undefined) return [];
  const isAny = first.address === "0.0.0.0" || first.address === "::";
  const answer = await ask(isAny ? "127.0.0.1" : first.address);
  return isKubeProxys(answer) ? [{ kind: "health-port", port: KUBE_PROXY_HEALTH_PORT }] : [];
}

/** Ours has a state besides. */
function isKubeProxys(answer: string): boolean {
  try {
    const body: unknown = JSON.parse(answer);
    return (
      typeof body === "object" && body !== null && "lastUpdated" in body && "currentTime" in body && !("state" in body)
    );
  } catch {
    return false;
  }
}

/** What is answered; nothing where nobody does. */
function ask(host: string): Promise<string> {
  return new Promise((resolve) => {
    const asked = request(
      { host, port: KUBE_PROXY_HEALTH_PORT, path: "/healthz", timeout: ANSWER_TIMEOUT_MS },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
          if (text.length > MAX_ANSWER_BYTES) asked.destroy();
        });
        response.on("end", () => resolve(text)).on("error", () => resolve(""));
      },
    );
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => resolve(""));
    asked.on("close", () => resolve(""));
    asked.end();
  });
}

async function tables(machine: Pick<Machine, "run">, signal: AbortSignal): Promise<readonly KubeProxyEvidence[]> {
  const text = await printed(machine, { tool: "nft", args: ["list", "tables"], signal });
  const families: readonly (readonly [Family, string])[] = [
    [4, "ip"],
    [6, "ip6"],
  ];
  return families
    .filter(([, word]) => new RegExp(`^table ${word} ${TABLE}$`, "m").test(text))
    .map(([family]) => ({ kind: "table", family }));
}

async function canaries(
  machine: Pick<Machine, "run" | "hasTool">,
  signal: AbortSignal,
): Promise<readonly KubeProxyEvidence[]> {
  const { iptables } = await findRuleTools(machine, { signal });
  const found: KubeProxyEvidence[] = [];
  for (const { tools } of iptables) {
    for (const family of [4, 6] as const) {
      const tool = toolName(tools, family, "-save");
      // Asked for one table, legacy makes it.
      const args = tools.variant === "legacy" ? [] : ["-t", "mangle"];
      const text = await printed(machine, { tool, args, signal });
      if (text.includes(`\n:${CANARY} `))
        found.push({ kind: "canary-chain", family, tool: toolName(tools, family, "") });
    }
  }
  return found;
}

/** Nothing where the tool is not here, or its kernel has no such table. */
async function printed(
  machine: Pick<Machine, "run">,
  { tool, args, signal }: { readonly tool: string; readonly args: readonly string[]; readonly signal: AbortSignal },
): Promise<string> {
  try {
    const { exitCode, stdout } = await machine.run(tool, args, { signal });
    return exitCode === 0 ? stdout : "";
  } catch (error) {
    if (error instanceof MissingTool) return "";
    throw error;
  }
}
