import type { HostRules, IptablesRules, Rule, RuleSet } from "@svcproxy/rules";

/** Chains that kube-proxy hangs into built-in ones, in iptables mode and in that of IPVS. KUBE-FIREWALL is kubelet's, and stays. */
const HUNG = new Set([
  ...["KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS", "KUBE-FORWARD", "KUBE-PROXY-FIREWALL"],
  ...["KUBE-POSTROUTING", "KUBE-NODE-PORT", "KUBE-SOURCE-RANGES-FIREWALL", "KUBE-IPVS-FILTER", "KUBE-IPVS-OUT-FILTER"],
]);

/**
 * The rules of a host once kube-proxy has taken away those of its iptables mode, as it does when it starts in another one: its jumps in
 * built-in chains. Its chains lead nowhere then, or stay where somebody else's rule leads to one.
 *
 * It uses one variant of iptables alone: what is left in the other stays.
 */
export function withoutKubeProxy(rules: HostRules): HostRules {
  const own =
    rules.iptables.find((one) => one.variant !== "legacy" && isKubeProxys(one)) ?? rules.iptables.find(isKubeProxys);
  return {
    ...rules,
    iptables: rules.iptables.map((one) => (one === own ? { ...one, rules: withoutJumps(one.rules) } : one)),
  };
}

/** Whether kube-proxy's rules of this variant are in force. */
export function isKubeProxys({ rules }: IptablesRules): boolean {
  return rules.tables.some(({ chains }) =>
    chains.some(({ policy, rules: own }) => policy !== undefined && own.some(isKubeProxysJump)),
  );
}

function withoutJumps({ family, tables }: RuleSet): RuleSet {
  return {
    family,
    tables: tables.map((table) => ({
      ...table,
      chains: table.chains.map((chain) =>
        chain.policy === undefined ? chain : { ...chain, rules: chain.rules.filter((rule) => !isKubeProxysJump(rule)) },
      ),
    })),
  };
}

function isKubeProxysJump({ target }: Rule): boolean {
  return target.kind === "jump" && HUNG.has(target.chain);
}
