import { createHash } from "node:crypto";
import { type Rule, ruleKey } from "@svcproxy/rules";
import * as names from "../rule-parts/chain-names.ts";
import { parseStyleName, type RuleStyle, styleName } from "../rule-style.ts";

/**
 * An empty chain with this name in a table says that the chains there that have our names are ours. Rules of ours in a
 * built-in chain that do not jump to one of our chains have a mark of their own each, see `hookMark`.
 */
export const MARKER_CHAIN = "SVCPROXY-OWNS";

/** The note of UDP frontends that are gone, see `withJournal`. */
export const GONE_UDP = "SVCPROXY-UDP-GONE";

/** The chains that plans share. */
const OWN_NAMES: ReadonlySet<string> = new Set([
  names.SERVICES,
  names.NODE_PORTS,
  names.POSTROUTING,
  names.MARK_MASQ,
  names.EXTERNAL_SERVICES,
  names.PROXY_FIREWALL,
  names.FORWARD,
  names.FIREWALL,
  // Not in our plans, but a kube-proxy whose chains are taken over leaves it behind.
  "KUBE-PROXY-CANARY",
  GONE_UDP,
]);

/** What the names of chains for one service, one endpoint, one part of a choice among many, or one block of frontends begin with. */
const OWN_PREFIXES: readonly string[] = [
  ...["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-", "KUBE-BAL-"],
  names.VIP_PREFIX,
  names.NODE_PORT_PREFIX,
  names.EXTERNAL_PREFIX,
  names.FIREWALL_PREFIX,
  names.EXTERNAL_NODE_PORT_PREFIX,
];

/**
 * An empty chain that says that KUBE-FIREWALL is ours. A kubelet makes that chain too, and a kube-proxy that is cleaned up leaves it behind;
 * without this chain it is theirs, and what we need of it is added to what they have there.
 */
export const FIREWALL_MARK = `${MARKER_CHAIN}-firewall`;

/** Set by a kubelet in each table that it uses. */
const KUBELET_CANARY = "KUBE-KUBELET-CANARY";

/** Kubelets up to 1.27 make it in the table nat, and nobody else beside a canary of theirs. */
const KUBELET_MARK = "KUBE-MARK-DROP";

/**
 * What such a kubelet makes there besides, once, for its container runtime's host ports; a kube-proxy writes its own rules into them, and leaves them.
 */
const OLD_KUBELETS: ReadonlySet<string> = new Set([names.MARK_MASQ, names.POSTROUTING]);

/** Chains that others may need as well as we do: see `isOwnChain`. */
export const SHAREABLE: readonly string[] = [names.FIREWALL, ...OLD_KUBELETS];

/**
 * Whether a chain of this name is ours in a table that has our marker, `chains` being all names of that table. In one without it those are
 * that somebody typed in as a plan has them.
 */
export function isOwnChain(name: string, chains: { has(name: string): boolean }): boolean {
  if (isMark(name) || OWN_PREFIXES.some((prefix) => name.startsWith(prefix))) return true;
  if (name === names.FIREWALL) return isOwnFirewall(chains);
  if (OLD_KUBELETS.has(name)) return !(chains.has(KUBELET_CANARY) && chains.has(KUBELET_MARK));
  return OWN_NAMES.has(name);
}

function isOwnFirewall(chains: { has(name: string): boolean }): boolean {
  // A kubelet needs it after us, whoever made it.
  if (chains.has(KUBELET_CANARY)) return false;
  return chains.has(MARKER_CHAIN) ? chains.has(FIREWALL_MARK) : chains.has(names.SERVICES);
}

/** Name of the empty chain that says how our rules are written. */
export function styleMark(style: RuleStyle): string {
  return `${MARKER_CHAIN}-${styleName(style)}`;
}

/** How rules of ours are written, by the names of the chains of their tables; undefined where nothing says it. */
export function readStyle(chains: Iterable<string>): RuleStyle | undefined {
  for (const name of chains) {
    const style = name.startsWith(`${MARKER_CHAIN}-`) ? parseStyleName(name.slice(MARKER_CHAIN.length + 1)) : undefined;
    if (style !== undefined) return style;
  }
  return undefined;
}

export function isMark(name: string): boolean {
  return name === MARKER_CHAIN || name.startsWith(`${MARKER_CHAIN}-`);
}

/**
 * Name of the empty chain that says: this rule in this built-in chain is ours. It carries a hash of the rule's meaning, so
 * that the rule itself stays as the plan has it, and cleanup knows it without a topology.
 *
 * @param foreignCopies how many equal rules of others were there before ours, 0–9: these stay at cleanup
 */
export function hookMark(chain: string, rule: Rule, foreignCopies = 0): string {
  const hash = createHash("sha256")
    .update(`${chain} ${ruleKey(rule)}`)
    .digest("hex")
    .slice(0, 12);
  return `${MARKER_CHAIN}-${hash}${foreignCopies === 0 ? "" : `-${Math.min(foreignCopies, 9)}`}`;
}
