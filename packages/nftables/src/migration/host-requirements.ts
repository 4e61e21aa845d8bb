import type { HostRules, HostState } from "@svcproxy/rules";
import type { HostPlan } from "@svcproxy/topology";
import { hasSince, type KubeProxyFacts } from "../kube-proxy/kube-proxy-facts.ts";
import type { Accounting, Requirement } from "./migration.ts";
import { isKubeProxys, withoutKubeProxy } from "./without-kube-proxy.ts";

/** What is known of a host beside its rules, addresses and routes. */
export interface HostFacts {
  /** `6.1.0-13-amd64`. */
  readonly kernel?: string;
  /** `nftables v1.0.6 (Lester Gooch #5)`. */
  readonly nft?: string;
  readonly accounting: Accounting;
  /** Virtual services that IPVS serves. */
  readonly ipvsServices: readonly string[];
  /** Whether somebody looked at the host: then what is not there is known not to be there. */
  readonly isSeen: boolean;
}

export interface RequirementInput {
  readonly plan: HostPlan;
  /** Of each family that is looked at. */
  readonly rules: readonly HostRules[];
  readonly hostState: HostState;
  readonly facts: HostFacts;
  readonly kubeProxy: KubeProxyFacts;
}

const TAKE_SNAPSHOT = "Take a snapshot on the host: sudo svcproxy host-state --snapshot FILE";

export function hostRequirements(input: RequirementInput): readonly Requirement[] {
  return [
    kernelVersion(input.facts),
    nftVersion(input.facts),
    liberalConntrack(input),
    ipvsLeftOvers(input),
    ...otherVariant(input),
    ...foreignJumps(input),
    ...kubeProxyVersion(input),
    ...interfacePrefix(input),
    ...ownLoadBalancers(input),
    ...affinityTables(input),
    ...serviceRange(input),
  ];
}

/** @see kubernetes pkg/proxy/nftables/supported.go */
function kernelVersion({ kernel }: HostFacts): Requirement {
  if (kernel === undefined)
    return { name: "kernel", status: "unknown", text: "The kernel must be 5.13 or later", hint: "Look with uname -r" };
  const isMet = isAtLeast(kernel, [5, 13]);
  return isMet
    ? { name: "kernel", status: "met", text: `Kernel ${kernel} is 5.13 or later` }
    : {
        ...{
          name: "kernel",
          status: "missing",
          text: `Kernel ${kernel} is older than 5.13: kube-proxy refuses to start in nftables mode`,
        },
        hint: "Upgrade the host, or leave it in iptables mode",
      };
}

function nftVersion({ nft, isSeen }: HostFacts): Requirement {
  const name = "nft";
  const version = /v?(\d+\.\d+(?:\.\d+)?)/.exec(nft ?? "")?.[1];
  if (version === undefined && isSeen)
    return {
      name,
      status: "met",
      text: "nft is not on the host: kube-proxy's image has its own (1.0.1 or later is needed)",
    };
  if (version === undefined)
    return {
      name,
      status: "unknown",
      text: "nft, where the host has one, must be 1.0.1 or later",
      hint: "Look with nft --version",
    };
  if (isAtLeast(version, [1, 0, 1])) return { name, status: "met", text: `nft ${version} is 1.0.1 or later` };
  return {
    ...{ name, status: "missing", text: `nft ${version} is older than 1.0.1: kube-proxy's rules may crash it` },
    hint: "Upgrade nftables on the host",
  };
}

const INVALID_DROPS = "ct_state_invalid_dropped_pkts";

/** The rule that drops INVALID packets goes: who needed it must tell conntrack to be liberal. */
function liberalConntrack({ facts, hostState, rules }: RequirementInput): Requirement {
  const name = "conntrack-liberal";
  const isLiberal = ![undefined, "0"].includes(hostState.sysctls["net.netfilter.nf_conntrack_tcp_be_liberal"]);
  if (isLiberal) return { name, status: "met", text: "nf_conntrack_tcp_be_liberal is on" };
  if (facts.kernel !== undefined && isAtLeast(facts.kernel, [6, 1]))
    return { name, status: "met", text: `Kernel ${facts.kernel} needs no rule against INVALID packets (6.1 or later)` };
  const dropped = facts.accounting.get(INVALID_DROPS) ?? countedInvalid(rules);
  if (dropped === 0 && facts.kernel !== undefined)
    return { name, status: "met", text: "The rule against INVALID packets has dropped none" };
  const hint = "Start kube-proxy with --conntrack-tcp-be-liberal (sysctl net.netfilter.nf_conntrack_tcp_be_liberal=1)";
  if (facts.kernel === undefined || dropped === undefined)
    return {
      name,
      status: "unknown",
      text: "Kernels before 6.1 reset long connections where INVALID packets are not dropped",
      hint,
    };
  const text = `Kernel ${facts.kernel} is older than 6.1, and the rule against INVALID packets, which goes, has dropped ${dropped}`;
  return { name, status: "missing", text, hint };
}

function countedInvalid(rules: readonly HostRules[]): number | undefined {
  const counts = rules.flatMap(({ iptables }) =>
    iptables.flatMap((backend) =>
      backend.rules.tables.flatMap(({ chains }) =>
        chains.flatMap((chain) =>
          chain.name !== "KUBE-FORWARD"
            ? []
            : chain.rules.flatMap(({ target, counters }) =>
                target.kind === "drop" && counters !== undefined ? [Number(counters.packets)] : [],
              ),
        ),
      ),
    ),
  );
  return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + count, 0);
}

function ipvsLeftOvers({ facts, hostState }: RequirementInput): Requirement {
  const name = "ipvs-left-overs";
  const sets = Object.keys(hostState.ipSets ?? {}).filter((set) => set.startsWith("KUBE-"));
  const found = [
    ...(hostState.interfaces.some((device) => device.name === "kube-ipvs0") ? ["the device kube-ipvs0"] : []),
    ...(sets.length === 0
      ? []
      : [
          `${sets.length} ${sets.length === 1 ? "set" : "sets"} (${sets.slice(0, 3).join(", ")}${sets.length > 3 ? ", …" : ""})`,
        ]),
    ...(facts.ipvsServices.length === 0 ? [] : [`${facts.ipvsServices.length} virtual services of IPVS`]),
  ];
  if (found.length > 0)
    return {
      ...{ name, status: "missing", text: `IPVS mode left behind ${found.join(", ")}` },
      hint: "Run kube-proxy --cleanup once, or remove them: ip link delete kube-ipvs0; ipvsadm --clear; ipset destroy NAME",
    };
  if (!facts.isSeen)
    return {
      name,
      status: "unknown",
      text: "Nothing of IPVS mode may be left: kube-ipvs0, KUBE-* sets, virtual services",
      hint: TAKE_SNAPSHOT,
    };
  return { name, status: "met", text: "Nothing of IPVS mode is left" };
}

/** kube-proxy cleans up by one variant of iptables; what it once wrote by the other stays in force. */
function otherVariant({ rules }: RequirementInput): readonly Requirement[] {
  const left = rules.flatMap((one) => withoutKubeProxy(one).iptables.filter(isKubeProxys));
  if (left.length === 0) return [];
  const variants = [...new Set(left.map(({ variant }) => variant ?? "legacy"))].join(", ");
  return [
    {
      ...{
        name: "other-variant",
        status: "missing",
        text: `kube-proxy's rules are in iptables-${variants} as well, where it does not clean up`,
      },
      hint: `Remove them before: kube-proxy --cleanup with that iptables, or iptables-${variants}-save, edit, iptables-${variants}-restore`,
    },
  ];
}

/** Chains that another program jumps to cannot be deleted. */
function foreignJumps({ rules }: RequirementInput): readonly Requirement[] {
  const found = rules.flatMap(({ iptables }) =>
    iptables.flatMap((backend) =>
      backend.rules.tables.flatMap((table) =>
        table.chains.flatMap((chain) =>
          chain.name.startsWith("KUBE-") || chain.policy !== undefined
            ? []
            : chain.rules.flatMap(({ target }, index) =>
                target.kind === "jump" &&
                /^KUBE-(MARK-MASQ|SERVICES|NODEPORTS|POSTROUTING|FORWARD|SVC-|SVL-|EXT-|SEP-|FW-)/.test(target.chain)
                  ? [`rule ${index + 1} of ${table.name} ${chain.name} (to ${target.chain})`]
                  : [],
              ),
        ),
      ),
    ),
  );
  if (found.length === 0) return [];
  const more = found.length > 3 ? `, and ${found.length - 3} more` : "";
  return [
    {
      ...{
        name: "foreign-jumps",
        status: "missing",
        text: `Rules of other programs lead into kube-proxy's chains, which go: ${found.slice(0, 3).join(", ")}${more}`,
      },
      hint: "Let that program mark by itself (-j MARK --set-xmark 0x4000/0x4000), or upgrade it",
    },
  ];
}

function kubeProxyVersion({ kubeProxy }: RequirementInput): readonly Requirement[] {
  const { version, gates } = kubeProxy;
  const name = "kube-proxy-version";
  if (version === undefined) return [];
  const isAllowed = hasSince(kubeProxy, "nftablesModeByDefault") === true || gates?.get("NFTablesProxyMode") === true;
  if (hasSince(kubeProxy, "nftablesMode") === true && isAllowed)
    return [{ name, status: "met", text: `kube-proxy ${version} has the nftables mode` }];
  return [
    {
      ...{ name, status: "missing", text: `kube-proxy ${version} has no nftables mode, or behind a gate that is off` },
      hint: "Upgrade: it is there from 1.31 on (1.29 and 1.30: with the gate NFTablesProxyMode), and stable from 1.33 on",
    },
  ];
}

/** @see https://github.com/kubernetes/kubernetes/pull/134117 */
function interfacePrefix({ plan: { podDetector }, kubeProxy }: RequirementInput): readonly Requirement[] {
  const name = "interface-prefix";
  if (podDetector.kind !== "interfacePrefix") return [];
  const hasNames = hasSince(kubeProxy, "interfaceNames");
  if (hasNames === true) return [];
  const text = "Pods are told by their interfaces' prefix (detectLocalMode InterfaceNamePrefix)";
  return hasNames === false
    ? [
        {
          ...{ name, status: "missing", text: `${text}: kube-proxy ${kubeProxy.version}'s rules for it do not load` },
          hint: "Upgrade to 1.33.6, 1.34.2 or later (kubernetes/kubernetes#134117), or tell pods by clusterCIDR",
        },
      ]
    : [
        {
          ...{
            name,
            status: "unknown",
            text: `${text}: before 1.33.6 and 1.34.2 kube-proxy's rules for it do not load`,
          },
          hint: "Say which kube-proxy will run: --kube-proxy-version 1.37.2",
        },
      ];
}

/** Where the version is known, the comparison itself tells. @see https://github.com/kubernetes/kubernetes/issues/131765 */
function ownLoadBalancers({ plan, kubeProxy }: RequirementInput): readonly Requirement[] {
  if (kubeProxy.version !== undefined) return [];
  const services = plan.ports.flatMap(({ service, hasEndpoints, localEndpoints, frontends }) => {
    const isExternal = frontends.some(({ kind }) => kind === "loadBalancerIP" || kind === "externalIP");
    const isLocal = service.externalTrafficPolicy === "Local";
    return isLocal && isExternal && hasEndpoints && localEndpoints.length === 0 ? [nameOfService(service)] : [];
  });
  if (services.length === 0) return [];
  return [
    {
      ...{ name: "own-load-balancers", status: "unknown" },
      text: `The node, and its host-network pods, reach load-balancer and external IPs of services of policy Local without an endpoint here (${listedNames(services)}) only from kube-proxy 1.33.6 on`,
      hint: "Say which kube-proxy will run: --kube-proxy-version 1.37.2 (kubernetes/kubernetes#131765)",
    },
  ];
}

/** Clients that \`-m recent\` keeps on a list where its module was not told otherwise (ip_list_tot), and elements of the set that takes its place. */
const [REMEMBERED_BEFORE, REMEMBERED_AFTER] = [100, 65_535];

function affinityTables({ plan }: RequirementInput): readonly Requirement[] {
  const services = plan.ports.flatMap(({ service, affinity }) =>
    affinity === undefined ? [] : [nameOfService(service)],
  );
  if (services.length === 0) return [];
  const counted = (count: number) => count.toLocaleString("en");
  return [
    {
      ...{ name: "affinity", status: "met" },
      text: `Session affinity (${listedNames(services)}) will remember ${counted(REMEMBERED_AFTER)} clients an endpoint, where \`recent\` keeps ${counted(REMEMBERED_BEFORE)} (its ip_list_tot); what it remembers today is lost, so that who comes back is sent anywhere once`,
    },
  ];
}

function nameOfService({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

function listedNames(all: readonly string[]): string {
  const names = [...new Set(all)];
  return `${names.slice(0, 5).join(", ")}${names.length > 5 ? `, and ${names.length - 5} more` : ""}`;
}

function serviceRange({ plan: { node, ports } }: RequirementInput): readonly Requirement[] {
  if (node.serviceCIDRs.length > 0 || ports.length === 0) return [];
  return [
    {
      ...{
        name: "service-range",
        status: "unknown",
        text: "The service range is not known: addresses in it that no service has will be dropped",
      },
      hint: "Give the ServiceCIDRs too: kubectl get services,endpointslices,nodes,servicecidrs -A -o yaml",
    },
  ];
}

function isAtLeast(version: string, least: readonly number[]): boolean {
  const parts = (/\d+(?:\.\d+)*/.exec(version)?.[0] ?? "").split(".").map(Number);
  for (const [index, wanted] of least.entries()) {
    const part = parts[index] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}
