import type { IpAddress } from "@svcproxy/topology";
import type { Router } from "../../host/routing.ts";
import type { Match } from "../../match.ts";
import type { PacketView } from "../packet/packet-view.ts";
import { allOf, decided, type MatchResult, YES } from "./match-result.ts";

type AddressTypeMatch = Extract<Match, { readonly kind: "addrtype" }>;

/** `-m addrtype`. IPv4 and IPv6 mean different things by it. @see linux net/netfilter/xt_addrtype.c */
export function matchAddressType(
  { source, destination, limitInterface }: AddressTypeMatch,
  packet: PacketView,
  router: Router,
): MatchResult {
  const on =
    limitInterface === undefined ? undefined : limitInterface === "in" ? packet.inInterface : packet.outInterface;
  const isOf = packet.family === 4 ? isOfType4 : isOfType6;
  const asked = (address: IpAddress, wanted: AddressTypeMatch["source"]) =>
    wanted === undefined ? YES : decided(isOf(router, { address, types: wanted.types, on }) !== wanted.negated);
  return allOf([asked(packet.source, source), asked(packet.destination, destination)]);
}

interface TypeQuestion {
  readonly address: IpAddress;
  readonly types: readonly string[];
  readonly on: string | undefined;
}

function isOfType4(router: Router, { address, types, on }: TypeQuestion): boolean {
  return types.includes(router.addressType(address, on));
}

/** All that is asked of an address' class must hold, a local address being as unicast as any; then one of the routed types. */
function isOfType6(router: Router, { address, types, on }: TypeQuestion): boolean {
  const isMulticast = /^ff[0-9a-f]{2}:/.test(address);
  const isUnspecified = address === "::";
  if (types.includes("MULTICAST") && !isMulticast) return false;
  if (types.includes("UNICAST") && (isMulticast || isUnspecified)) return false;
  if (types.includes("UNSPEC") && !isUnspecified) return false;
  if (!types.some((type) => ROUTED.includes(type))) return true;
  return routedTypes(router, { address, on }).some((type) => types.includes(type));
}

const ROUTED: readonly string[] = ["LOCAL", "ANYCAST", "UNREACHABLE", "PROHIBIT"];

function routedTypes(
  router: Router,
  { address, on }: { address: IpAddress; on: string | undefined },
): readonly string[] {
  const isHere =
    on === undefined
      ? router.isLocal(address)
      : router.interfaceOf(on)?.addresses.some((own) => own.address === address) === true;
  const answer = router.lookup({ destination: address, mark: 0, inInterface: "lo" });
  const isRejected =
    answer.kind === "none" ||
    (answer.kind === "found" && ["unreachable", "prohibit", "blackhole"].includes(answer.route.type));
  return [
    ...(isHere ? ["LOCAL"] : []),
    ...(router.addressType(address) === "ANYCAST" ? ["ANYCAST"] : []),
    ...(isRejected ? ["UNREACHABLE"] : []),
  ];
}
