import { isProxyTable } from "../../hooks/any-rule.ts";
import type { HostRules } from "../../hooks/host-rules.ts";
import type { IsOwn } from "./own-rules.ts";

/** Whether a list of clients is one on which the service proxy's own rules keep them. */
export type IsOwnList = (list: string) => boolean;

/** Others may count or limit clients on lists of their own: what those hold nobody knows, and affinity does not hang on it. */
export function ownListsOf({ iptables }: Pick<HostRules, "iptables">, isOwn: IsOwn): IsOwnList {
  const names = new Set<string>();
  for (const { rules } of iptables) {
    for (const { name: table, chains } of rules.tables) {
      for (const { name: chain, rules: own } of chains) {
        for (const [place, rule] of own.entries()) {
          for (const match of rule.matches)
            if (match.kind === "recent" && isOwn({ table, chain, number: place + 1, rule })) names.add(match.name);
        }
      }
    }
  }
  // Elements of nftables' sets are called by their table, their set and what is kept.
  return (list) => names.has(list) || isProxyTable(list.slice(1).split(" ", 2).join(" "));
}
