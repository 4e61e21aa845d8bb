import type { Family } from "@svcproxy/topology";
import { ROUTE_LOCALNET } from "../rule-parts/localhost-guard.ts";
import { readSysctl } from "./read-sysctl.ts";
import { runTool } from "./run-tool.ts";

/** What a plan needs of its host. */
export interface HostNeeds {
  /** Those that the plan has frontends in. */
  readonly families: readonly Family[];
  /** Whether NodePorts are served on 127.0.0.0/8. */
  readonly localhostNodePorts: boolean;
}

/** What of the host, beside its rules, keeps a plan from working; one sentence each. */
export async function hostWarnings(
  { families, localhostNodePorts }: HostNeeds,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const bridges = await listBridges(signal);
  const warnings: string[] = [];
  for (const family of families) {
    const forwarding = family === 4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
    if ((await readSysctl(forwarding)) === "0") {
      warnings.push(
        `This host does not forward IPv${family}, so pods and NodePort clients reach no endpoint elsewhere: sysctl -w ${forwarding}=1`,
      );
    }
    const bypass = family === 4 ? "net.bridge.bridge-nf-call-iptables" : "net.bridge.bridge-nf-call-ip6tables";
    if (bridges.length > 0 && (await readSysctl(bypass)) !== "1") {
      warnings.push(
        `Bridge ${bridges.join(", ")} carries IPv${family} past netfilter, so a VIP whose endpoint is on the client's own bridge times out: modprobe br_netfilter && sysctl -w ${bypass}=1`,
      );
    }
  }
  if (localhostNodePorts && families.includes(4) && (await readSysctl(ROUTE_LOCALNET)) === "0") {
    warnings.push(
      `NodePorts on 127.0.0.1 get no answer, because the kernel keeps these addresses on loopback: sysctl -w ${ROUTE_LOCALNET}=1`,
    );
  }
  return warnings;
}

/** @returns none where `ip` cannot tell */
async function listBridges(signal: AbortSignal): Promise<readonly string[]> {
  try {
    const { exitCode, stdout } = await runTool("ip", ["-o", "link", "show", "type", "bridge"], { signal });
    if (exitCode !== 0) return [];
    return [...stdout.matchAll(/^\d+: ([^:@]+)/gm)].flatMap(([, name]) => (name === undefined ? [] : [name]));
  } catch {
    return [];
  }
}
