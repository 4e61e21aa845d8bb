import { type Family, familyOf, visible } from "@svcproxy/topology";
import { type AnyMatch, type AnyRule, isNftRule } from "../../hooks/any-rule.ts";
import { formatStatement } from "../../nft/format-nft-rule.ts";
import type { NftStatement } from "../../nft/nft-rule-set.ts";
import type { Hook } from "../../rule-set.ts";
import { formatMatch } from "../../text/format-match.ts";
import { formatRule } from "../../text/format-rule.ts";
import { type Fraction, formatFraction, toNumber } from "../packet/fraction.ts";
import type { PacketView } from "../packet/packet-view.ts";
import { CLIENT_PORTS, SHOWN_CLIENT_PORT } from "../packet/request.ts";
import type { EndAddress } from "../walk/outcome.ts";
import type { Past, RuleEvent, WalkEvent } from "../walk/walk-state.ts";

/** What happened on a way, the earliest first. */
export function eventsOf(past: Past | undefined): readonly WalkEvent[] {
  const events: WalkEvent[] = [];
  for (let node = past; node !== undefined; node = node.earlier) events.push(node.event);
  return events.reverse();
}

/** `ip:port`; of several possible ports the one that stands for all, and the bare address where there are none. */
export function formatEnd({ address, ports }: EndAddress): string {
  if (ports === undefined) return address;
  const port = ports.from <= SHOWN_CLIENT_PORT && ports.to >= SHOWN_CLIENT_PORT ? SHOWN_CLIENT_PORT : ports.from;
  return familyOf(address) === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}

/** As people read it: without the port where the client's could be any. */
export function describeEnd(end: EndAddress): string {
  const { ports, address } = end;
  if (ports === undefined) return address;
  if (ports.from === ports.to) return formatEnd(end);
  return ports.from >= 1024 && ports.to - ports.from >= CLIENT_PORTS.to - CLIENT_PORTS.from
    ? address
    : `${familyOf(address) === 4 ? address : `[${address}]`}:${ports.from}-${ports.to}`;
}

/** The rule as iptables-save or nft prints it; what a file brought along cannot forge a line. */
export function formatAnyRule(rule: AnyRule, family: Family): string {
  if (isNftRule(rule)) return visible(rule.text);
  return visible(formatRule(rule, { style: "save", family }));
}

export function formatAnyMatch(match: AnyMatch, family: Family): string {
  if (isStatement(match)) return visible(formatStatement(match));
  return visible(formatMatch(match, { style: "save", family }));
}

/** Kinds that statements of nftables have, and matches of iptables have not. */
const STATEMENT_KINDS: ReadonlySet<string> = new Set<NftStatement["kind"]>([
  ...(["match", "verdict", "vmap", "nat", "masquerade", "redirect", "reject", "notrack", "counter", "update"] as const),
  ...(["gate", "inert", "copy", "handover", "unread"] as const),
]);

function isStatement(match: AnyMatch): match is NftStatement {
  return STATEMENT_KINDS.has(match.kind) || (match.kind === "set" && "target" in match);
}

export function formatMark(mark: number): string {
  return `0x${mark.toString(16)}`;
}

/** What hooks are, for those who never saw one. */
export const HOOK_MEANINGS: Readonly<Record<Hook, string>> = {
  PREROUTING: "it has come in; where it goes is not decided yet",
  INPUT: "it is for this host itself",
  FORWARD: "it goes through this host to somebody else",
  OUTPUT: "this host sends it",
  POSTROUTING: "it is about to leave",
};

/** `1/2`; with a percentage where the fraction is none that people see through. */
export function formatChance(chance: Fraction): string {
  const text = formatFraction(chance);
  return text.length <= 5 ? text : `${text} (${Number((toNumber(chance) * 100).toFixed(3))} %)`;
}

/** How a rule answered, in a word or two. */
export function describeRuleAnswer({ outcome }: RuleEvent): string {
  switch (outcome.kind) {
    case "matched":
      return "yes";
    case "chance":
      return `yes, by a chance of ${formatChance(outcome.chance)}`;
    case "assumed":
      return outcome.took ? "if it matches" : "if it does not match";
    case "immaterial":
      return "perhaps";
  }
}

/** What a rule changed: `mark 0x0 becomes 0x4000`. */
export function describeChanges({ before, after }: RuleEvent): readonly string[] {
  return [...markChanges(before, after), ...addressChanges(before, after)];
}

/** As nft prints it: a traffic class. */
function formatPriority(priority: number | undefined): string {
  return priority === undefined
    ? "that is not known"
    : `${Math.floor(priority / 0x10000).toString(16)}:${(priority & 0xffff).toString(16)}`;
}

function markChanges(before: PacketView, after: PacketView): readonly string[] {
  const connectionMark = after.connection?.mark;
  return [
    ...(before.priority === after.priority
      ? []
      : [`priority ${formatPriority(before.priority)} becomes ${formatPriority(after.priority)}`]),
    ...(before.mark === after.mark ? [] : [`mark ${formatMark(before.mark)} becomes ${formatMark(after.mark)}`]),
    ...(before.connection === undefined || before.connection.mark === connectionMark
      ? []
      : [`the connection's mark becomes ${connectionMark === undefined ? "unknown" : formatMark(connectionMark)}`]),
    ...(before.connection === undefined && after.connection?.state === "UNTRACKED"
      ? ["conntrack leaves it alone"]
      : []),
  ];
}

function addressChanges(before: PacketView, after: PacketView): readonly string[] {
  const ends = (packet: PacketView) => ({
    source: describeEnd(endOf(packet.source, packet.sourcePorts)),
    destination: describeEnd(endOf(packet.destination, packet.destinationPorts)),
  });
  const [was, is] = [ends(before), ends(after)];
  return [
    ...(was.destination === is.destination ? [] : [`destination ${was.destination} becomes ${is.destination}`]),
    ...(was.source === is.source ? [] : [`source ${was.source} becomes ${is.source}`]),
  ];
}

function endOf(address: PacketView["source"], ports: PacketView["sourcePorts"]): EndAddress {
  return ports === undefined ? { address } : { address, ports };
}
