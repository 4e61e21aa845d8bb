import type { HostView } from "../../host/routing.ts";
import type { DeviceGroup, Match, NumberRange } from "../../match.ts";
import type { ConnectionView, PacketView } from "../packet/packet-view.ts";
import { matchRange } from "./match-ports.ts";
import { allOf, decided, type MatchResult, negate, unknown, YES } from "./match-result.ts";

type Of<Kind extends Match["kind"]> = Extract<Match, { readonly kind: Kind }>;

/** The connection that conntrack keeps for a packet; undefined where it keeps none. */
export function trackedConnection({ connection }: PacketView): ConnectionView | undefined {
  return connection === undefined || connection.state === "INVALID" || connection.state === "UNTRACKED"
    ? undefined
    : connection;
}

/** `-m helper` asks about the connection that announced this one. @see linux net/netfilter/xt_helper.c */
export function matchHelper({ negated }: Of<"helper">, packet: PacketView): MatchResult {
  const connection = trackedConnection(packet);
  return connection === undefined || connection.state === "NEW"
    ? decided(negated)
    : unknown("which connection announced this one, and with which helper, is not known");
}

/** @see linux net/netfilter/xt_devgroup.c */
export function matchDeviceGroups(match: Of<"devgroup">, packet: PacketView, host: HostView): MatchResult {
  return allOf([
    matchGroup(match.source, packet.inInterface, host),
    matchGroup(match.destination, packet.outInterface, host),
  ]);
}

function matchGroup(wanted: DeviceGroup | undefined, device: string | undefined, { router }: HostView): MatchResult {
  if (wanted === undefined) return YES;
  const group = device === undefined ? 0 : (router.interfaceOf(device)?.group ?? 0);
  if (wanted.value === undefined || typeof group === "string")
    return unknown(
      `which number the group ${JSON.stringify(wanted.value === undefined ? wanted.text : group)} has is not known`,
    );
  return decided(((group & wanted.mask) >>> 0 === wanted.value) !== wanted.negated);
}

/** What a connection's first packet has carried so far is known. @see linux net/netfilter/xt_connbytes.c */
export function matchConnectionBytes(match: Of<"connbytes">, packet: PacketView): MatchResult {
  const connection = trackedConnection(packet);
  // A template counts nothing.
  if (connection === undefined || connection.isTemplate === true) return decided(false);
  if (connection.state !== "NEW" || connection.direction === "REPLY")
    return unknown("how much the connection has carried is not known");
  const wanted = { from: match.from, to: match.to ?? Number.POSITIVE_INFINITY };
  return negate(matchRange(carried(match, packet), wanted, "the packet's length"), match.negated);
}

function carried({ unit, direction }: Of<"connbytes">, { length }: PacketView): NumberRange | undefined {
  const exactly = (count: number) => ({ from: count, to: count });
  if (direction === "reply") return exactly(0);
  if (unit === "packets") return exactly(1);
  return length === undefined ? undefined : exactly(length);
}

/** @see linux net/netfilter/xt_policy.c */
export function matchPolicy({ policy }: Of<"policy">, { state }: HostView): MatchResult {
  return state.usesIpsec === false
    ? decided(policy === "none")
    : unknown("whether IPsec has to do with the packet is not known");
}

export function matchAccounting({ name }: Of<"nfacct">, { state }: HostView): MatchResult {
  return state.quotas?.includes(name) === true
    ? unknown(`whether the quota of the accounting object ${JSON.stringify(name)} is used up is not known`)
    : YES;
}

/** @see linux net/netfilter/xt_connlabel.c */
export function matchLabel({ label, set, negated }: Of<"connlabel">, packet: PacketView): MatchResult {
  const connection = trackedConnection(packet);
  if (connection === undefined) return decided(negated);
  if (connection.labels?.has(label) === true) return decided(!negated);
  // It is given the label whatever it had.
  if (set) return negated ? { outcome: "no", label } : { outcome: "yes", label };
  return connection.labels === undefined ? unknown("the connection's labels are not known") : decided(negated);
}

export function matchTypeOfService(match: Of<"tos" | "dscp">, { tos }: PacketView): MatchResult {
  const { value, mask } = match.kind === "tos" ? match : { value: match.value << 2, mask: 0xfc };
  if (mask === 0) return decided((value === 0) !== match.negated);
  if (tos === undefined) return unknown("the packet's type of service is not known");
  return decided(((tos & mask) === value) !== match.negated);
}
