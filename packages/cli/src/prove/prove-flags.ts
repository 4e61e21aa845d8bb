import type { RuleSourceFlags } from "../flags/rule-source-flags.ts";

export interface ProveFlags extends RuleSourceFlags {
  readonly same?: readonly string[];
  readonly to?: "kube-proxy-nftables";
  readonly fleet?: string;
  readonly kubeProxyVersion?: string;
  readonly json?: boolean;
}
