import type { Chain, Match, NumberRange, Rule, Table } from "@svcproxy/rules";
import { addressWidth, type Cidr, cidrContains, familyOf } from "@svcproxy/topology";
import type { DesiredRules, Hook } from "../desired-rules.ts";

/** New connections that our rules wait for: enough to tell whether a foreign rule can take them. */
export interface PacketClass {
  /** Undefined: any. */
  readonly protocol?: string;
  /** Destination ports; undefined: any. */
  readonly ports?: NumberRange;
  /** Undefined: any address, or any of the host's own where `toHost` is set. */
  readonly destination?: Cidr;
  readonly toHost: boolean;
}

/** What the rules behind a hook wait for: the frontends, or behind POSTROUTING, where those are gone, the endpoints. */
export function classesBehind(hook: Hook, desired: DesiredRules): readonly PacketClass[] {
  const chains = chainsOf(desired, hook.table);
  const frontends: PacketClass[] = [];
  collectFrontends(hook.rule, { chains, within: { toHost: false }, visited: new Set(), found: frontends });
  return frontends.length > 0 ? frontends : endpointClasses(desired);
}

function chainsOf(desired: DesiredRules, table: string): ReadonlyMap<string, Chain> {
  const chains = desired.tables.filter(({ name }) => name === table).flatMap((found: Table) => found.chains);
  return new Map(chains.map((chain) => [chain.name, chain]));
}

interface Walk {
  readonly chains: ReadonlyMap<string, Chain>;
  readonly within: PacketClass;
  readonly visited: Set<string>;
  readonly found: PacketClass[];
}

function collectFrontends(rule: Rule, { chains, within, visited, found }: Walk): void {
  const narrowed = rule.matches.reduce(narrow, within);
  if (narrowed.ports !== undefined) {
    found.push(narrowed);
    return;
  }
  if (rule.target.kind !== "jump" && rule.target.kind !== "goto") return;
  if (visited.has(rule.target.chain)) return;
  visited.add(rule.target.chain);
  for (const next of chains.get(rule.target.chain)?.rules ?? []) {
    collectFrontends(next, { chains, within: narrowed, visited, found });
  }
}

function narrow(within: PacketClass, match: Match): PacketClass {
  switch (match.kind) {
    case "protocol":
      return match.negated ? within : { ...within, protocol: match.protocol };
    case "destination":
      return match.negated ? within : { ...within, destination: match.cidr };
    case "tcp":
    case "udp":
    case "sctp":
      return match.destinationPorts === undefined || match.destinationPorts.negated
        ? within
        : { ...within, ports: match.destinationPorts };
    case "addrtype":
      return match.destination?.types.includes("LOCAL") && !match.destination.negated
        ? { ...within, toHost: true }
        : within;
    default:
      return within;
  }
}

function endpointClasses(desired: DesiredRules): readonly PacketClass[] {
  const classes: PacketClass[] = [];
  for (const { name, chains } of desired.tables) {
    if (name !== "nat") continue;
    for (const { rules } of chains) {
      for (const { matches, target } of rules) {
        if (target.kind !== "dnat" || target.to.addresses === undefined) continue;
        const protocol = matches.find((match) => match.kind === "protocol")?.protocol;
        classes.push({
          ...(protocol === undefined ? {} : { protocol }),
          ...(target.to.ports === undefined ? {} : { ports: target.to.ports }),
          destination: {
            address: target.to.addresses.from,
            prefixLength: addressWidth(familyOf(target.to.addresses.from)),
          },
          toHost: false,
        });
      }
    }
  }
  return classes;
}

/** Whether `match` lets no new connection of the class pass; in doubt it does not exclude. */
export function excludes(match: Match, packets: PacketClass): boolean {
  switch (match.kind) {
    case "protocol":
      return packets.protocol !== undefined && (match.protocol === packets.protocol) === match.negated;
    case "destination":
      return packets.destination !== undefined && excludesDestination(match, packets.destination);
    case "tcp":
    case "udp":
    case "sctp":
      if (packets.protocol !== undefined && packets.protocol !== match.kind) return true;
      return (
        match.destinationPorts !== undefined &&
        excludesPorts([match.destinationPorts], match.destinationPorts.negated, packets)
      );
    case "icmp":
      return packets.ports !== undefined;
    case "multiport":
      return match.direction === "destination" && excludesPorts(match.ports, match.negated, packets);
    case "addrtype":
      return match.destination !== undefined && excludesType(match.destination, packets);
    case "conntrack":
      return match.states !== undefined && match.states.states.includes("NEW") === match.states.negated;
    case "state":
      return match.states.includes("NEW") === match.negated;
    default:
      return false;
  }
}

function excludesDestination({ cidr, negated }: { cidr: Cidr; negated: boolean }, destination: Cidr): boolean {
  const holdsAll = cidr.prefixLength <= destination.prefixLength && cidrContains(cidr, destination.address);
  const overlaps = holdsAll || cidrContains(destination, cidr.address);
  return negated ? holdsAll : !overlaps;
}

function excludesPorts(ranges: readonly NumberRange[], negated: boolean, { ports }: PacketClass): boolean {
  if (ports === undefined) return false;
  if (negated) return ranges.some(({ from, to }) => from <= ports.from && ports.to <= to);
  return ranges.every(({ from, to }) => to < ports.from || ports.to < from);
}

/** A VIP is not an address of the host: `svcproxy check` makes sure of it. */
function excludesType(
  { types, negated }: { types: readonly string[]; negated: boolean },
  { toHost, destination }: PacketClass,
): boolean {
  if (toHost) return types.includes("LOCAL") === negated;
  if (destination === undefined || negated) return false;
  return types.every((type) => type === "LOCAL");
}
