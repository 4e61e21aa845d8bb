import type { ConntrackEntry } from "@svcproxy/host";
import type { Chain, Rule, RuleSet } from "@svcproxy/rules";
import { addressWidth, type Cidr, familyOf, formatSocketAddress, type IpAddress, parsePort } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { isOwnChain } from "./own-chains.ts";

/** Where rules send UDP: by frontend the endpoints. */
export interface UdpFrontends {
  /** `ip:port` of a VIP, or `:port` of a NodePort, to the `ip:port` of its endpoints. */
  readonly endpoints: ReadonlyMap<string, ReadonlySet<string>>;
}

/** What the chains of the nat table do with UDP, whatever dialect wrote them. */
function udpFrontends(chains: readonly Chain[]): UdpFrontends {
  const byName = new Map(chains.map((chain) => [chain.name, chain]));
  const known = new Map<string, ReadonlySet<string>>();
  const endpoints = new Map<string, Set<string>>();
  for (const { rules } of chains) {
    for (const rule of rules) {
      const frontend = frontendOf(rule);
      if (frontend === undefined) continue;
      const found = endpoints.get(frontend) ?? new Set<string>();
      for (const endpoint of reachable(rule, byName, known)) found.add(endpoint);
      endpoints.set(frontend, found);
    }
  }
  return { endpoints };
}

function frontendOf({ matches, target }: Rule): string | undefined {
  // A jump to a service's chain, or the note of one that is gone.
  if (target.kind !== "jump" && target.kind !== "goto" && target.kind !== "dnat") return undefined;
  let isUdp = false;
  let destination = "";
  let port: number | undefined;
  for (const match of matches) {
    if (match.kind === "protocol" && !match.negated) isUdp = match.protocol === "udp";
    if (match.kind === "destination") {
      // A block of addresses leads to a part of the services, and is none itself.
      if (match.negated || !isHostCidr(match.cidr)) return undefined;
      destination = match.cidr.address;
    }
    if (match.kind === "udp" && match.destinationPorts?.from === match.destinationPorts?.to)
      port = match.destinationPorts?.from;
  }
  return isUdp && port !== undefined ? frontendKey(destination, port) : undefined;
}

function isHostCidr({ address, prefixLength }: Cidr): boolean {
  return prefixLength === addressWidth(familyOf(address));
}

function frontendKey(address: string, port: number): string {
  return `${address}:${port}`;
}

/** Endpoints to which a rule's packets may be sent. */
function reachable(
  { target }: Rule,
  chains: ReadonlyMap<string, Chain>,
  known: Map<string, ReadonlySet<string>>,
): ReadonlySet<string> {
  if (target.kind === "dnat" && target.to.addresses !== undefined) {
    const port = parsePort(target.to.ports?.from ?? 0);
    return new Set(port === undefined ? [] : [formatSocketAddress({ address: target.to.addresses.from, port })]);
  }
  if (target.kind !== "jump" && target.kind !== "goto") return new Set();
  const before = known.get(target.chain);
  if (before !== undefined) return before;
  // The kernel has no loops of chains; this is for dumps that do.
  known.set(target.chain, new Set());
  const found = new Set((chains.get(target.chain)?.rules ?? []).flatMap((rule) => [...reachable(rule, chains, known)]));
  known.set(target.chain, found);
  return found;
}

/** UDP frontends in the chains with our names of a plan, or of the kernel's rules. */
export function frontendsOf(rules: DesiredRules | RuleSet | undefined): UdpFrontends {
  const chains = rules?.tables.filter(({ name }) => name === "nat").flatMap((table) => table.chains) ?? [];
  const names = new Set(chains.map(({ name }) => name));
  return udpFrontends(chains.filter(({ name, policy }) => policy === undefined && isOwnChain(name, names)));
}

export interface StaleOptions {
  /** As the rules were, and as they are. */
  readonly before: UdpFrontends;
  readonly after: UdpFrontends;
  readonly isHostAddress: (address: IpAddress) => boolean;
}

/**
 * Whether a flow goes where the rules would no longer send it. Only the first packet of a flow asks the rules; without
 * help a client that keeps on sending stays with an endpoint that is gone, or with none, for ever.
 */
export function isStale(flow: ConntrackEntry, { before, after, isHostAddress }: StaleOptions): boolean {
  const vip = frontendKey(flow.destination, flow.destinationPort);
  const nodePort = frontendKey("", flow.destinationPort);
  const key = (set: UdpFrontends) =>
    set.endpoints.has(vip)
      ? vip
      : isHostAddress(flow.destination) && set.endpoints.has(nodePort)
        ? nodePort
        : undefined;
  const server = formatSocketAddress({ address: flow.server, port: flow.serverPort });
  const [then, now] = [key(before), key(after)];
  if (now !== undefined) {
    const wanted = after.endpoints.get(now) ?? new Set();
    // A frontend without endpoints sends nothing anywhere: what is translated goes to one that is gone.
    return wanted.size > 0 ? !wanted.has(server) : isTranslated(flow);
  }
  return then !== undefined && isTranslated(flow) && before.endpoints.get(then)?.has(server) === true;
}

function isTranslated({ destination, destinationPort, server, serverPort }: ConntrackEntry): boolean {
  return destination !== server || destinationPort !== serverPort;
}
