import type { Match, Rule } from "@svcproxy/rules";
import { addressWidth, familyOf } from "@svcproxy/topology";

/** A rule and what tells it from others by meaning. */
export interface KeyedRule {
  readonly rule: Rule;
  readonly key: string;
}

/** Rules that are for any packet are compared one by one with all others, but not so many of them. */
const MAX_WIDE = 64;

/**
 * Whether two orders of the same rules do the same: rules that no packet can meet both of may change places. Told by destination port,
 * protocol and single destination address alone, which is how services are told apart.
 */
export function commutes(a: readonly KeyedRule[], b: readonly KeyedRule[]): boolean {
  const [inA, inB] = [grouped(a), grouped(b)];
  if (inA.wide.length !== inB.wide.length || inA.wide.length > MAX_WIDE) return false;
  if (inA.groups.size !== inB.groups.size) return false;
  for (const [group, keys] of inA.groups) if (!sameList(keys, inB.groups.get(group))) return false;
  return inA.wide.every((key, index) => key === inB.wide[index] && sameBag(inA.before[index], inB.before[index]));
}

interface Grouped {
  /** Keys in order, of rules that one packet may meet. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
  /** Those of rules that may meet packets of any group, and what stands before each of them. */
  readonly wide: readonly string[];
  readonly before: readonly (readonly string[])[];
}

function grouped(rules: readonly KeyedRule[]): Grouped {
  const places = rules.map(({ rule }) => placeOf(rule));
  // Where a rule is for one port whatever the address, all rules of that port are told by it alone.
  const open = new Set(
    places.flatMap((place) => (place !== undefined && place.address === undefined ? [place.port] : [])),
  );
  const groups = new Map<string, string[]>();
  const wide: string[] = [];
  const before: (readonly string[])[] = [];
  for (const [index, { key }] of rules.entries()) {
    const place = places[index];
    if (place === undefined) {
      wide.push(key);
      if (wide.length <= MAX_WIDE) before.push(rules.slice(0, index).map((other) => other.key));
      continue;
    }
    const group = place.address === undefined || open.has(place.port) ? place.port : `${place.port} ${place.address}`;
    const known = groups.get(group);
    if (known === undefined) groups.set(group, [key]);
    else known.push(key);
  }
  return { groups, wide, before };
}

/** Undefined for a rule that is not for one port of one protocol. */
function placeOf({ matches }: Rule): { readonly port: string; readonly address: string | undefined } | undefined {
  let [protocol, port, address]: (string | undefined)[] = [];
  for (const match of matches) {
    if (match.kind === "protocol" && !match.negated) protocol = match.protocol;
    port ??= onlyPort(match);
    if (match.kind === "destination" && !match.negated) {
      const { cidr } = match;
      if (cidr.prefixLength === addressWidth(familyOf(cidr.address))) address = cidr.address;
    }
  }
  return protocol === undefined || port === undefined ? undefined : { port: `${protocol} ${port}`, address };
}

function onlyPort(match: Match): string | undefined {
  if (match.kind !== "tcp" && match.kind !== "udp" && match.kind !== "sctp") return undefined;
  const ports = match.destinationPorts;
  return ports === undefined || ports.negated || ports.from !== ports.to ? undefined : String(ports.from);
}

function sameList(a: readonly string[], b: readonly string[] | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((key, index) => key === b[index]);
}

function sameBag(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return sameList((a ?? []).toSorted(), b?.toSorted());
}
