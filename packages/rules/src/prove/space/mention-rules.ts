import type { IpAddress } from "@svcproxy/topology";
import { familyOf } from "@svcproxy/topology";
import type { Match } from "../../match.ts";
import type { RuleSet } from "../../rule-set.ts";
import type { Target } from "../../target.ts";
import type { AddressSpaceBuilder } from "./address-space.ts";

/** Cuts the addresses wherever a rule tells them apart or leads to one. */
export function mentionRules(builder: AddressSpaceBuilder, { family, tables }: RuleSet): void {
  // The reader gives equal parts one value.
  const seen = new Set<Match | Target>();
  for (const { chains } of tables) {
    for (const { rules } of chains) {
      for (const { matches, target } of rules) {
        for (const match of matches) {
          if (seen.has(match)) continue;
          seen.add(match);
          mentionMatch(builder, match);
        }
        if (seen.has(target)) continue;
        seen.add(target);
        if (target.kind === "netmap") builder.addCidr(target.to);
        if ((target.kind === "dnat" || target.kind === "snat") && target.to.addresses !== undefined)
          mentionRange(builder, target.to.addresses, family);
      }
    }
  }
}

function mentionRange(
  builder: AddressSpaceBuilder,
  { from, to }: { readonly from: IpAddress; readonly to: IpAddress },
  family: 4 | 6,
): void {
  if (familyOf(from) === family) builder.addRange(from, to);
}

function mentionMatch(builder: AddressSpaceBuilder, match: Match): void {
  switch (match.kind) {
    case "source":
    case "destination":
      builder.addCidr(match.cidr);
      return;
    case "iprange":
      for (const range of [match.source, match.destination])
        if (range !== undefined) builder.addRange(range.from, range.to);
      return;
    case "conntrack":
      for (const end of [match.originalSource, match.originalDestination, match.replySource, match.replyDestination]) {
        if (end !== undefined) builder.addCidr(end.cidr);
      }
      return;
    default:
      return;
  }
}
