import type { Family, Problem } from "@svcproxy/topology";
import { listBridges } from "./bridges.ts";
import { type Machine, thisMachine } from "./machine.ts";
import { ROUTE_LOCALNET } from "./route-localnet.ts";

/** What a plan needs of its host. */
export interface HostNeeds {
  /** Those that the plan has frontends in. */
  readonly families: readonly Family[];
  /** Whether NodePorts are served on 127.0.0.0/8. */
  readonly localhostNodePorts: boolean;
}

/** What of the host, beside its rules, keeps a plan from working. */
export async function hostProblems(
  { families, localhostNodePorts }: HostNeeds,
  signal: AbortSignal,
  { machine = thisMachine }: { readonly machine?: Pick<Machine, "run" | "readSysctl"> } = {},
): Promise<readonly Problem[]> {
  const bridges = await listBridges(machine, { signal });
  const problems: Problem[] = [];
  for (const family of families) {
    const forwarding = family === 4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
    if ((await machine.readSysctl(forwarding)) === "0") {
      problems.push({
        ...{ code: "FORWARDING_OFF", severity: "warning", subject: `sysctl ${forwarding}` },
        text: `This host does not forward IPv${family}, so pods and NodePort clients reach no endpoint elsewhere`,
        hint: `sysctl -w ${forwarding}=1`,
      });
    }
    const bypass = family === 4 ? "net.bridge.bridge-nf-call-iptables" : "net.bridge.bridge-nf-call-ip6tables";
    if (bridges.length > 0 && (await machine.readSysctl(bypass)) !== "1") {
      problems.push({
        ...{ code: "BRIDGE_PAST_NETFILTER", severity: "warning", subject: `sysctl ${bypass}` },
        text: `Bridge ${bridges.join(", ")} carries IPv${family} past netfilter, so a VIP whose endpoint is on the client's own bridge times out`,
        hint: `modprobe br_netfilter && sysctl -w ${bypass}=1`,
      });
    }
  }
  if (localhostNodePorts && families.includes(4) && (await machine.readSysctl(ROUTE_LOCALNET)) === "0") {
    problems.push({
      ...{ code: "ROUTE_LOCALNET_OFF", severity: "warning", subject: `sysctl ${ROUTE_LOCALNET}` },
      text: "NodePorts on 127.0.0.1 get no answer, because the kernel keeps these addresses on loopback",
      hint: `sysctl -w ${ROUTE_LOCALNET}=1`,
    });
  }
  return problems;
}

/**
 * What is to be said where our rules kept neighbours off loopback and no longer do: `route_localnet` outlives them.
 *
 * @see CVE-2020-8558
 */
export async function lostGuardProblem({
  wasGuarded,
  isGuarded,
  machine = thisMachine,
}: {
  readonly wasGuarded: boolean;
  readonly isGuarded: boolean;
  readonly machine?: Pick<Machine, "readSysctl">;
}): Promise<Problem | undefined> {
  if (!wasGuarded || isGuarded) return undefined;
  const setting = await machine.readSysctl(ROUTE_LOCALNET);
  if (setting === undefined || setting === "0") return undefined;
  return {
    ...{ code: "LOOPBACK_UNGUARDED", severity: "warning", subject: `sysctl ${ROUTE_LOCALNET}` },
    text: `${ROUTE_LOCALNET} is still on, and our rules no longer keep neighbours off what listens on 127.0.0.1`,
    hint: `sysctl -w ${ROUTE_LOCALNET}=0`,
  };
}
