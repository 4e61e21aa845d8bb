import { addressBits, cidrContains, familyOf, type IpAddress } from "@svcproxy/topology";
import type { HostState } from "../../host/host-state.ts";
import type { IpSet, IpSetElement, IpSetMember } from "../../host/ip-set.ts";
import type { Match } from "../../match.ts";
import type { PacketView } from "../packet/packet-view.ts";
import { matchRange } from "./match-ports.ts";
import { allOf, anyOf, decided, type MatchResult, NO, unknown } from "./match-result.ts";

type SetMatch = Extract<Match, { readonly kind: "set" }>;

/** `-m set`: decided where the host state gives the set's members. */
export function matchIpSet(packet: PacketView, match: SetMatch, state: HostState): MatchResult {
  const set = state.ipSets?.[match.name];
  if (set === undefined) return unknown(`the members of the set ${JSON.stringify(match.name)} are not known`);
  if (match.rest.length > 0) return unknown(`\`${match.rest.join(" ")}\` is not understood`);
  return matchSetMembers(packet, { set, directions: match.directions, state, depth: 0 });
}

interface SetQuestion {
  readonly set: IpSet;
  readonly directions: SetMatch["directions"];
  readonly state: HostState;
  readonly depth: number;
}

function matchSetMembers(packet: PacketView, { set, directions, state, depth }: SetQuestion): MatchResult {
  if (set.type === "list:set") return matchSetList(packet, { set, directions, state, depth });
  const holding = set.members
    .map((member) => ({ member, result: matchMember(packet, member, directions) }))
    .filter(({ result }) => result.outcome !== "no");
  const undecided = holding.find(({ result }) => result.outcome === "unknown");
  if (undecided !== undefined) return undecided.result;
  // The most specific member decides; an exception (`nomatch`) is always within a wider member.
  const [best] = holding.sort((a, b) => specificity(b.member) - specificity(a.member));
  return decided(best !== undefined && !best.member.noMatch);
}

function matchSetList(packet: PacketView, { set, directions, state, depth }: SetQuestion): MatchResult {
  if (depth > 0) return unknown("a list of sets within another is not understood");
  return anyOf(
    set.members.map(({ elements: [element] }) => {
      const inner = element?.kind === "text" ? state.ipSets?.[element.text] : undefined;
      if (inner === undefined) return unknown("the members of a set in the list are not known");
      return matchSetMembers(packet, { set: inner, directions, state, depth: depth + 1 });
    }),
  );
}

function specificity({ elements }: IpSetMember): number {
  return elements.reduce((sum, element) => sum + (element.kind === "net" ? element.cidr.prefixLength : 0), 0);
}

function matchMember(packet: PacketView, { elements }: IpSetMember, directions: SetMatch["directions"]): MatchResult {
  if (elements.length > directions.length) return unknown("the set has more dimensions than the rule names");
  return allOf(elements.map((element, index) => matchElement(packet, element, directions[index] ?? "src")));
}

function matchElement(packet: PacketView, element: IpSetElement, direction: "src" | "dst"): MatchResult {
  const isSource = direction === "src";
  const address = isSource ? packet.source : packet.destination;
  switch (element.kind) {
    case "net":
      return decided(cidrContains(element.cidr, address));
    case "range":
      return decided(addressInRange(address, element));
    case "port":
      if (element.protocol === undefined ? !isInPlainPorts(packet) : element.protocol !== packet.protocol) return NO;
      return matchRange(
        isSource ? packet.sourcePorts : packet.destinationPorts,
        element.ports,
        `the ${direction} port`,
      );
    case "interface":
      return decided((isSource ? packet.inInterface : packet.outInterface) === element.name);
    case "text":
      return unknown(`the set's member ${JSON.stringify(element.text)} is not understood`);
  }
}

/** A set of plain ports knows TCP and UDP alone. @see linux net/netfilter/ipset/ip_set_getport.c, ip_set_get_ip_port */
function isInPlainPorts({ protocol }: PacketView): boolean {
  return protocol === "tcp" || protocol === "udp";
}

/** Whether `from` ≤ address ≤ `to`, in one family. */
export function addressInRange(
  address: IpAddress,
  { from, to }: { readonly from: IpAddress; readonly to: IpAddress },
): boolean {
  if (familyOf(address) !== familyOf(from)) return false;
  const bits = addressBits(address);
  return bits >= addressBits(from) && bits <= addressBits(to);
}
