import {
  addressBits,
  addressFromBits,
  addressWidth,
  type Cidr,
  type Family,
  familyOf,
  formatCidr,
  type IpAddress,
} from "@svcproxy/topology";
import { blocksOf } from "./address-blocks.ts";
import { VIP_MARK } from "./vip-mark.ts";

/** What clients of a VIP dial. */
export interface VipPort {
  readonly protocol: "tcp" | "udp";
  readonly address: IpAddress;
  readonly port: number;
}

/** `tcp 10.96.0.1 80`. */
export function vipPortKey({ protocol, address, port }: VipPort): string {
  return `${protocol} ${address} ${port}`;
}

/**
 * Policy rules and routes of one family, as arguments of `ip rule add` and `ip route add`, that let clients of VIPs reach the services' ports
 * and nothing else of this host. In the order in which they may be added while others are in force.
 */
export interface Isolation {
  readonly routes: readonly string[];
  readonly rules: readonly string[];
}

/** Who is isolated, and what stays open. */
export interface IsolationScope {
  readonly vips: readonly IpAddress[];
  /** Blocks that a route of ours makes local; what is no VIP there is unreachable too. */
  readonly ranges: readonly Cidr[];
  readonly ports: readonly VipPort[];
}

/**
 * Preferences, all before the rule for local addresses. What is not for a VIP takes the way of `others`, so that the number of
 * ports costs it nothing.
 */
export const PREFERENCE = {
  /** This host's own packets, while VIPs are about to be local. */
  exempt: 82,
  /** To a VIP: on with the next but one. */
  select: 83,
  others: 84,
  /** Errors along the path, without which a client behind a smaller MTU hangs. */
  errors: 86,
  /** The services' ports, each by a table that has the VIPs with that port. */
  ports: 87,
  /** This host's own answers to its own connections, which have a VIP on both ends, by the port that they come from. */
  answers: 88,
  otherPorts: 91,
  /** What no rule can name by its port: pieces of large datagrams, to VIPs with a UDP service, and port 65535. */
  withoutPort: 92,
  /** The rest: ARP requests, too. */
  rest: 93,
  /** The host's own rule for local addresses, moved here from 0. */
  local: 100,
} as const;

/** Of tables of ours; `830600080` has the VIPs with TCP port 80, `831700053` those with UDP port 53. */
const TABLES = { unreachable: 830_000_000, tcp: 830_600_000, udp: 831_700_000 } as const;
export const FIRST_TABLE: number = TABLES.unreachable;

/**
 * Each rule costs a new connection 20 to 30 ns, so 5,000 would cost it 0.1 ms. Beyond so many for one family neighbours share a rule, and
 * what lies between them is open as well.
 */
export const MOST_PORT_RULES = 128;

/** The kernel refuses a rule for port 65535. */
const HIGHEST_PORT_OF_RULES = 65_534;

/** Blocks by which packets to VIPs are told from all others; each costs every packet. */
const MOST_BLOCKS = 16;
const BLOCK_PREFIXES: Readonly<Record<Family, readonly number[]>> = { 4: [16, 8, 0], 6: [64, 48, 32, 0] };

/**
 * As long as VIPs are not local yet, a route of ours that leads to one gives what this host sends a source that it has not got, and `connect` fails
 * (ENETUNREACH), although rules of another data path may serve it until then. So its packets pass our rules by meanwhile.
 */
export const EXEMPTION = `pref ${PREFERENCE.exempt} iif lo goto ${PREFERENCE.local} protocol ${VIP_MARK.routeProtocol}`;

/** Undefined where nothing of that family is to be isolated. */
export function isolationOf(family: Family, scope: IsolationScope): Isolation | undefined {
  const vips = scope.vips.filter((vip) => familyOf(vip) === family);
  const ranges = scope.ranges.filter(({ address }) => familyOf(address) === family);
  if (vips.length === 0 && ranges.length === 0) return undefined;
  const isolated = new Set(vips);
  const groups = groupPorts(scope.ports.filter(({ address }) => isolated.has(address)));
  const blocks = coveringBlocks(family, [...vips, ...ranges.flatMap(ends)]);
  const mark = ["protocol", VIP_MARK.routeProtocol];
  const rule = (preference: number, ...parts: readonly (string | number)[]) =>
    ["pref", preference, ...parts, ...mark].join(" ");
  const to = ({ address, prefixLength }: Cidr) => (prefixLength === 0 ? [] : ["to", `${address}/${prefixLength}`]);
  const udpVips = new Set(scope.ports.filter(({ protocol }) => protocol === "udp").map(({ address }) => address));
  const reject = ["lookup", TABLES.unreachable];
  return {
    routes: [
      ...groups.flatMap(({ table, addresses }) => addresses.map((vip) => localRoute(vip, table))),
      ...vips.filter((vip) => udpVips.has(vip)).map((vip) => localRoute(vip, TABLES.udp)),
      ...vips.map((vip) => unreachableRoute({ address: vip, prefixLength: addressWidth(family) })),
      ...ranges.map(unreachableRoute),
    ],
    rules: [
      rule(PREFERENCE.rest, ...reject),
      rule(PREFERENCE.withoutPort, "ipproto", "udp", "lookup", TABLES.udp),
      rule(PREFERENCE.otherPorts, "dport", `1-${HIGHEST_PORT_OF_RULES}`, ...reject),
      ...groups.flatMap(({ protocol, first, last, table, addresses }) => {
        const answer = ["iif", "lo", "ipproto", protocol];
        return last > HIGHEST_PORT_OF_RULES
          ? [
              ...addresses.map((vip) => rule(PREFERENCE.answers, "from", hostBlock(vip), ...answer, "lookup", "local")),
              rule(PREFERENCE.withoutPort, "ipproto", protocol, "lookup", table),
            ]
          : [
              rule(PREFERENCE.answers, ...answer, "sport", portRange(first, last), "lookup", "local"),
              rule(PREFERENCE.ports, "ipproto", protocol, "dport", portRange(first, last), "lookup", table),
            ];
      }),
      rule(PREFERENCE.errors, "ipproto", family === 4 ? "icmp" : "ipv6-icmp", "lookup", "local"),
      rule(PREFERENCE.others, "goto", PREFERENCE.local),
      ...blocks.map((block) => rule(PREFERENCE.select, ...to(block), "goto", PREFERENCE.errors)),
    ],
  };
}

/** Whether a client may reach this port of some VIP. */
export function openPorts(ports: readonly VipPort[]): (protocol: "tcp" | "udp", port: number) => boolean {
  const families: readonly Family[] = [4, 6];
  const groups = families.flatMap((family) => groupPorts(ports.filter(({ address }) => familyOf(address) === family)));
  return (protocol, port) =>
    groups.some((group) => group.protocol === protocol && group.first <= port && port <= group.last);
}

interface PortGroup {
  readonly protocol: VipPort["protocol"];
  readonly first: number;
  readonly last: number;
  readonly table: number;
  /** The VIPs that have a port of it. */
  readonly addresses: readonly IpAddress[];
}

function groupPorts(ports: readonly VipPort[]): readonly PortGroup[] {
  const protocols = ["tcp", "udp"] as const;
  const used = protocols.flatMap((protocol) => {
    const byPort = Map.groupBy(
      ports.filter((port) => port.protocol === protocol),
      ({ port }) => port,
    );
    return [...byPort].sort(([a], [b]) => a - b).map(([port, users]) => ({ protocol, port, users }));
  });
  const gaps = used.flatMap((here, index) => {
    const before = used[index - 1];
    if (before?.protocol !== here.protocol || here.port > HIGHEST_PORT_OF_RULES) return [];
    return [{ index, gap: here.port - before.port }];
  });
  // The closest neighbours share a rule.
  const shared = Math.max(0, used.length - MOST_PORT_RULES);
  const joined = new Set(
    gaps
      .toSorted((a, b) => a.gap - b.gap)
      .slice(0, shared)
      .map(({ index }) => index),
  );
  const groups: { protocol: VipPort["protocol"]; first: number; last: number; users: readonly VipPort[] }[] = [];
  for (const [index, { protocol, port, users }] of used.entries()) {
    const group = groups.at(-1);
    if (group === undefined || !joined.has(index)) groups.push({ protocol, first: port, last: port, users });
    else {
      group.last = port;
      group.users = [...group.users, ...users];
    }
  }
  return groups.map(({ protocol, first, last, users }) => ({
    ...{ protocol, first, last },
    table: TABLES[protocol] + first,
    addresses: [...new Set(users.map(({ address }) => address))],
  }));
}

function coveringBlocks(family: Family, addresses: readonly IpAddress[]): readonly Cidr[] {
  for (const prefix of BLOCK_PREFIXES[family]) {
    const blocks = blocksOf(addresses, prefix);
    if (blocks.length <= MOST_BLOCKS) return blocks;
  }
  return [];
}

/** A block that holds its first and its last address holds the range. */
function ends({ address, prefixLength }: Cidr): readonly IpAddress[] {
  const family = familyOf(address);
  const rest = (1n << BigInt(addressWidth(family) - prefixLength)) - 1n;
  return [address, addressFromBits(family, addressBits(address) | rest)];
}

function portRange(first: number, last: number): string {
  return first === last ? String(first) : `${first}-${last}`;
}

function hostBlock(vip: IpAddress): string {
  return `${vip}/${addressWidth(familyOf(vip))}`;
}

function localRoute(vip: IpAddress, table: number): string {
  return `local ${hostBlock(vip)} dev lo table ${table} proto ${VIP_MARK.routeProtocol}`;
}

function unreachableRoute(block: Cidr): string {
  return `unreachable ${formatCidr(block)} table ${TABLES.unreachable} proto ${VIP_MARK.routeProtocol}`;
}
