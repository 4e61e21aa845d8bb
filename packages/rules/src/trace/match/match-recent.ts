import { addressBits, addressFromBits, familyOf, type IpAddress } from "@svcproxy/topology";
import type { HostState } from "../../host/host-state.ts";
import type { Match } from "../../match.ts";
import type { PacketView, RecentNote } from "../packet/packet-view.ts";
import { decided, type MatchResult, NO, unknown } from "./match-result.ts";

type RecentMatch = Extract<Match, { readonly kind: "recent" }>;

/**
 * `-m recent`. Whether an address is on a list follows from the lists that the host state gives and from what this walk wrote;
 * how long ago and how often does not. A negated rule writes all the same.
 *
 * @see linux net/netfilter/xt_recent.c
 */
export function matchRecent(packet: PacketView, match: RecentMatch, state: HostState): MatchResult {
  const address = masked(match.side === "source" ? packet.source : packet.destination, match.mask);
  const listed = isListed(packet, { list: match.name, address, state });
  const note = (action: "set" | "remove") => ({ list: match.name, address, action });
  switch (match.action) {
    case "set":
      // `! --set` never holds, though it writes the list.
      return match.negated ? NO : { outcome: "yes", recent: note("set") };
    case "remove":
      if (listed.outcome === "unknown") return listed;
      if (listed.outcome === "no") return decided(match.negated);
      return match.negated ? NO : { outcome: "yes", recent: note("remove") };
    case "rcheck":
    case "update": {
      if (listed.outcome === "no") return decided(match.negated);
      if (listed.outcome === "unknown") return listed;
      // Who was not on the list before this walk was seen as often as the walk wrote it.
      if (listed.seen !== undefined && match.hitCount !== undefined && listed.seen < match.hitCount)
        return decided(match.negated);
      const hangsOn = [
        ...(match.seconds === undefined || listed.writtenNow ? [] : ["how long ago"]),
        ...(match.hitCount === undefined || match.hitCount <= (listed.seen ?? 1) ? [] : ["how often"]),
        ...(match.rttl === true ? ["with which TTL"] : []),
      ];
      if (hangsOn.length > 0)
        return unknown(`${address} is on the list ${match.name}, but ${hangsOn.join(" and ")} is not known`);
      return decided(!match.negated);
    }
  }
}

type Listed =
  | {
      readonly outcome: "yes";
      readonly writtenNow: boolean;
      /** How often, where that is known. */
      readonly seen?: number;
    }
  | { readonly outcome: "no" }
  | { readonly outcome: "unknown"; readonly because: string };

function isListed(
  packet: PacketView,
  { list, address, state }: { list: string; address: IpAddress; state: HostState },
): Listed {
  for (let note = packet.recent; note !== undefined; note = note.earlier) {
    if (note.list !== list || note.address !== address) continue;
    if (!note.certain) return { outcome: "unknown", because: `whether ${address} is on the list ${list} is not known` };
    if (note.action === "remove") return { outcome: "no" };
    const wasListed = state.recentLists === undefined || (state.recentLists[list] ?? []).includes(address);
    return { outcome: "yes", writtenNow: true, ...(wasListed ? {} : { seen: writtenTimes(note) }) };
  }
  if (state.recentLists === undefined)
    return { outcome: "unknown", because: `whether ${address} is on the list ${list} is not known` };
  return (state.recentLists[list] ?? []).includes(address) ? { outcome: "yes", writtenNow: false } : { outcome: "no" };
}

/** How often one address was written since it was taken off its list, `note` included. */
function writtenTimes(latest: RecentNote): number {
  let times = 0;
  for (let note: RecentNote | undefined = latest; note !== undefined; note = note.earlier) {
    if (note.list !== latest.list || note.address !== latest.address) continue;
    if (note.action === "remove") break;
    times++;
  }
  return times;
}

function masked(address: IpAddress, mask: IpAddress | undefined): IpAddress {
  if (mask === undefined || familyOf(mask) !== familyOf(address)) return address;
  return addressFromBits(familyOf(address), addressBits(address) & addressBits(mask));
}
