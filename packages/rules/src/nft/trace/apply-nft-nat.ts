import { addressBits, addressFromBits, type IpAddress, parseIpAddress } from "@svcproxy/topology";
import { masqueradeAddress, redirectAddress } from "../../host/masquerade-address.ts";
import type { NumberRange } from "../../match.ts";
import { addressesOf, type Translation, translateDestination, translateSource } from "../../trace/walk/translate.ts";
import type { NftExpression, NftStatement } from "../nft-rule-set.ts";
import type { NftAskedAt } from "./asked.ts";
import { evaluateExpression } from "./evaluate-expression.ts";
import { describeDoubt } from "./set-lookup.ts";
import type { StatementEffect, StatementResult } from "./statement-effect.ts";
import type { Drawn, Value } from "./value.ts";

type NatStatement = Extract<NftStatement, { readonly kind: "nat" | "masquerade" | "redirect" }>;

/** dnat, snat, masquerade and redirect. @see linux net/netfilter/nft_nat.c, nft_masq.c, nft_redir.c */
export function applyNftNat(statement: NatStatement, asked: NftAskedAt): StatementResult {
  const { packet } = asked;
  if (statement.kind !== "nat") {
    const ways = statement.ports === undefined ? WITHOUT_PORTS : evaluateExpression(statement.ports, asked);
    return drawn(ways, (values) => ownAddress(statement, asked, values[0]));
  }
  const { address, ports, family } = statement;
  const target = address ?? ports;
  // nft asks for the family before, without a word; a rule that is for the other one ends here.
  if ((family !== undefined && family !== packet.family) || target === undefined)
    return drawn(WITHOUT_PORTS, () => ({ kind: "break" }));
  const behind = address === undefined ? undefined : portsOf(ports, asked);
  return drawn(evaluateExpression(target, asked), (values) => {
    const [first, second] = values;
    if (first === undefined) return { kind: "break" };
    if (address === undefined) return translated(statement, asked, { addresses: undefined, ports: first });
    if (behind === "none") return { kind: "break" };
    return translated(statement, asked, { addresses: first, ports: second ?? behind });
  });
}

const WITHOUT_PORTS: readonly Drawn[] = [{ chance: { numerator: 1n, bits: 0 }, values: [] }];

function drawn(ways: readonly Drawn[], effectOf: (values: readonly Value[]) => StatementEffect): StatementResult {
  return {
    kind: "drawn",
    ways: ways.map(({ chance, values }) => ({
      chance,
      effect: values === "none" ? { kind: "break" } : effectOf(values),
    })),
  };
}

/** Ports that stand behind an address; of a drawn port the first stands for all. */
function portsOf(ports: NftExpression | undefined, asked: NftAskedAt): Value | "none" | undefined {
  if (ports === undefined) return undefined;
  const [first, ...others] = evaluateExpression(ports, asked);
  if (first === undefined || first.values === "none") return "none";
  return others.length === 0 ? first.values[0] : { kind: "unknown", because: "which port is drawn is not known" };
}

interface NatTarget {
  readonly addresses: Value | undefined;
  readonly ports: Value | undefined;
}

function translated(
  statement: Extract<NatStatement, { readonly kind: "nat" }>,
  { packet }: NftAskedAt,
  target: NatTarget,
): StatementEffect {
  const end = statement.type === "dnat" ? "destination" : "source";
  const range = target.addresses === undefined ? undefined : addressRange(target.addresses);
  if (range === "unknown" || (range !== undefined && "because" in range))
    return {
      kind: "unknown",
      because: `which address it gets is not known${range === "unknown" ? "" : `: ${range.because}`}`,
    };
  const ports = portRange(target.ports);
  if (ports !== undefined && "because" in ports)
    return { kind: "unknown", because: `which port it gets is not known: ${ports.because}` };
  const drawsPort = statement.random || statement.fullyRandom;
  const addresses =
    range === undefined
      ? [undefined]
      : statement.isNetmap
        ? [netmapped(range, end === "destination" ? packet.destination : packet.source)]
        : addressesOf(range, RANGE_LIMIT);
  if (addresses === undefined)
    return { kind: "unknown", because: `which address of ${range?.from}-${range?.to} it gets is not known` };
  const translate = end === "source" ? translateSource : translateDestination;
  const packets = addresses.map((address) => {
    const translation: Translation = {
      ...(address === undefined ? {} : { address }),
      ...(ports === undefined ? {} : { ports }),
      drawsPort,
    };
    return translate(packet, translation);
  });
  return packets.length === 1
    ? { kind: "translate", end, packets }
    : { kind: "translate", end, packets, because: `which address of ${range?.from}-${range?.to} it gets is not known` };
}

/** So many addresses of a range are looked at one by one. */
const RANGE_LIMIT = 64;

type Range = { readonly from: IpAddress; readonly to: IpAddress };

function addressRange(value: Value): Range | "unknown" | { readonly because: string } {
  if (value.kind === "known" || value.kind === "span") {
    const { from, to } = value.kind === "known" ? { from: value.datum, to: value.datum } : value.range;
    const [first, last] = [parseIpAddress(String(from)), parseIpAddress(String(to))];
    return first === undefined || last === undefined ? "unknown" : { from: first, to: last };
  }
  return { because: describeDoubt(value) };
}

function portRange(value: Value | undefined): NumberRange | undefined | { readonly because: string } {
  if (value === undefined) return undefined;
  if (value.kind === "known" && typeof value.datum === "number") return { from: value.datum, to: value.datum };
  if (value.kind === "within") return { from: value.from, to: value.to };
  if (value.kind === "span" && typeof value.range.from === "number" && typeof value.range.to === "number")
    return { from: value.range.from, to: value.range.to };
  return { because: describeDoubt(value) };
}

/** The bits in which the ends of the block differ stay the address' own. */
function netmapped({ from, to }: Range, address: IpAddress): IpAddress {
  const host = addressBits(from) ^ addressBits(to);
  return addressFromBits(address.includes(":") ? 6 : 4, (addressBits(from) & ~host) | (addressBits(address) & host));
}

/** masquerade takes an address of the interface by which the packet leaves, redirect one by which it came. */
function ownAddress(
  statement: Extract<NatStatement, { readonly kind: "masquerade" | "redirect" }>,
  { packet, host, hook, nextHop }: NftAskedAt,
  port: Value | undefined,
): StatementEffect {
  const ports = portRange(port);
  if (ports !== undefined && "because" in ports)
    return { kind: "unknown", because: `which port it gets is not known: ${ports.because}` };
  const drawsPort = statement.random || statement.fullyRandom;
  const translation = { ...(ports === undefined ? {} : { ports }), drawsPort };
  if (statement.kind === "masquerade") {
    if (packet.outInterface === undefined)
      return { kind: "unknown", because: "masquerade needs an outgoing interface" };
    const address = masqueradeAddress(host, {
      outInterface: packet.outInterface,
      nextHop: nextHop ?? packet.destination,
      destination: packet.destination,
    });
    if (address === undefined)
      return { kind: "drop", because: `masquerade finds no address on ${packet.outInterface}` };
    return { kind: "translate", end: "source", packets: [translateSource(packet, { ...translation, address })] };
  }
  const address =
    hook === "OUTPUT"
      ? parseIpAddress(packet.family === 4 ? "127.0.0.1" : "::1")
      : redirectAddress(host, packet.family, packet.inInterface ?? "");
  if (address === undefined)
    return { kind: "drop", because: `redirect finds no address on ${packet.inInterface ?? "the incoming interface"}` };
  return {
    kind: "translate",
    end: "destination",
    packets: [translateDestination(packet, { ...translation, address })],
  };
}
