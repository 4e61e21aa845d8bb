import { cidrContains, type Family, familyOf, type IpAddress } from "@svcproxy/topology";
import type { HostState, NetworkInterface, PolicyRule, Route } from "./host-state.ts";

/** What the kernel asks its routing tables. */
export interface RouteQuery {
  readonly destination: IpAddress;
  /** Undefined where the source is still to be chosen. */
  readonly source?: IpAddress;
  readonly mark: number;
  /** `lo` for what the host itself sends. */
  readonly inInterface: string;
  /** Only routes by this interface count. */
  readonly onlyInterface?: string;
}

export type RouteAnswer =
  | { readonly kind: "found"; readonly route: Route }
  /** No table has a route. */
  | { readonly kind: "none" }
  /** The answer hangs on something that we do not know. */
  | { readonly kind: "unknown"; readonly because: string };

/** What the `addrtype` match calls an address. */
export type AddressType =
  | "LOCAL"
  | "UNICAST"
  | "BROADCAST"
  | "MULTICAST"
  | "ANYCAST"
  | "UNSPEC"
  | "BLACKHOLE"
  | "UNREACHABLE"
  | "PROHIBIT"
  | "THROW";

/** The routing tables of a host, ready to be asked often. */
export interface Router {
  lookup(query: RouteQuery): RouteAnswer;
  /** `inInterface`: only where that interface holds the address. */
  addressType(address: IpAddress, onInterface?: string): AddressType;
  isLocal(address: IpAddress): boolean;
  interfaceOf(name: string): NetworkInterface | undefined;
  sysctl(name: string): number | undefined;
}

/**
 * Whether what the host sends by this route comes in again by the loopback: to its own addresses and, in IPv6, to its
 * anycast ones, of which a host that forwards has one in each of its subnets.
 *
 * @see linux net/ipv6/route.c, ip6_rt_get_dev_rcu
 */
export function goesByLoopback({ type, destination }: Route): boolean {
  return type === "local" || (type === "anycast" && familyOf(destination.address) === 6);
}

const DEFAULT_POLICY: readonly Omit<PolicyRule, "family">[] = [
  { priority: 0, table: "local" },
  { priority: 32766, table: "main" },
  { priority: 32767, table: "default" },
];

/** Prepares the host's tables: policy rules by priority, routes by longest prefix and then metric. */
export function createRouter(state: HostState): Router {
  const interfaces = new Map(state.interfaces.map((device) => [device.name, device]));
  const tables = indexTables(state.routes);
  const policies = { 4: policyOf(state, 4), 6: policyOf(state, 6) };
  const answers = new Map<string, RouteAnswer>();
  const types = new Map<string, AddressType>();

  function lookup(query: RouteQuery): RouteAnswer {
    const key = `${query.destination} ${query.source ?? ""} ${query.mark} ${query.inInterface} ${query.onlyInterface ?? ""}`;
    const known = answers.get(key);
    if (known !== undefined) return known;
    const answer = lookUp(policies[familyOf(query.destination)], tables, query);
    if (answers.size < CACHE_SIZE) answers.set(key, answer);
    return answer;
  }

  function addressType(address: IpAddress, onInterface?: string): AddressType {
    const key = `${address} ${onInterface ?? ""}`;
    const known = types.get(key);
    if (known !== undefined) return known;
    const type = typeOfAddress(tables, address, onInterface);
    if (types.size < CACHE_SIZE) types.set(key, type);
    return type;
  }

  return {
    lookup,
    addressType,
    isLocal: (address) => addressType(address) === "LOCAL",
    interfaceOf: (name) => interfaces.get(name),
    sysctl(name) {
      const text = state.sysctls[name];
      return text === undefined ? undefined : Number(text);
    },
  };
}

/** Answers kept by a router; enough for every address of a large service, small enough to forget about. */
const CACHE_SIZE = 100_000;

/** Routes of each table and family, best first. */
type Tables = ReadonlyMap<string, readonly Route[]>;

function tableKey(table: string, family: Family): string {
  return `${family} ${table}`;
}

function indexTables(routes: readonly Route[]): Tables {
  const tables = new Map<string, Route[]>();
  for (const route of routes) {
    const key = tableKey(route.table, familyOf(route.destination.address));
    const table = tables.get(key);
    if (table === undefined) tables.set(key, [route]);
    else table.push(route);
  }
  for (const table of tables.values()) {
    table.sort((a, b) => b.destination.prefixLength - a.destination.prefixLength || a.metric - b.metric);
  }
  return tables;
}

function policyOf(state: HostState, family: Family): readonly PolicyRule[] {
  const rules = state.policyRules.filter((rule) => rule.family === family);
  const policy = rules.length === 0 ? DEFAULT_POLICY.map((rule) => ({ ...rule, family })) : rules;
  return [...policy].sort((a, b) => a.priority - b.priority);
}

function lookUp(policy: readonly PolicyRule[], tables: Tables, query: RouteQuery): RouteAnswer {
  const family = familyOf(query.destination);
  for (const rule of policy) {
    if (!selects(rule, query)) continue;
    if (rule.unknown !== undefined)
      return { kind: "unknown", because: `ip rule ${rule.priority} has \`${rule.unknown}\`` };
    const route = (tables.get(tableKey(rule.table, family)) ?? []).find(
      (candidate) =>
        cidrContains(candidate.destination, query.destination) &&
        (query.onlyInterface === undefined || candidate.interface === query.onlyInterface),
    );
    if (route === undefined || route.type === "throw") continue;
    if (route.unknown !== undefined)
      return { kind: "unknown", because: `the route to ${query.destination} has ${route.unknown}` };
    return { kind: "found", route };
  }
  return { kind: "none" };
}

function selects(rule: PolicyRule, { destination, source, mark, inInterface }: RouteQuery): boolean {
  if (rule.from !== undefined && rule.from.prefixLength > 0) {
    if (source === undefined || !cidrContains(rule.from, source)) return false;
  }
  if (rule.to !== undefined && !cidrContains(rule.to, destination)) return false;
  // fib_rule_match: ((rule->mark ^ fl->flowi_mark) & rule->mark_mask) must be 0.
  if (rule.mark !== undefined && ((rule.mark.value ^ mark) & rule.mark.mask) !== 0) return false;
  if (rule.inInterface !== undefined && rule.inInterface !== inInterface) return false;
  // `oif` selects sockets bound to a device, which a forwarded packet is not.
  return rule.outInterface === undefined;
}

/** As inet_addr_type and ipv6_addr_type with the local table do: everything that is not special is unicast. */
function typeOfAddress(tables: Tables, address: IpAddress, onInterface: string | undefined): AddressType {
  const family = familyOf(address);
  if (family === 4) {
    const first = Number(address.slice(0, address.indexOf(".")));
    if (address === "255.255.255.255" || first === 0) return "BROADCAST";
    if (first >= 224 && first < 240) return "MULTICAST";
  } else {
    if (address === "::") return "UNSPEC";
    if (address.startsWith("ff") && address.indexOf(":") === 4) return "MULTICAST";
  }
  const route = (tables.get(tableKey("local", family)) ?? []).find((candidate) =>
    cidrContains(candidate.destination, address),
  );
  if (route === undefined) return "UNICAST";
  if (onInterface !== undefined && route.interface !== undefined && route.interface !== onInterface) return "UNICAST";
  return addressTypeOfRoute(route);
}

/** What `addrtype` calls an address that this route leads to. */
export function addressTypeOfRoute({ type }: Route): AddressType {
  switch (type) {
    case "local":
      return "LOCAL";
    case "broadcast":
      return "BROADCAST";
    case "anycast":
      return "ANYCAST";
    case "multicast":
      return "MULTICAST";
    case "blackhole":
      return "BLACKHOLE";
    case "unreachable":
      return "UNREACHABLE";
    case "prohibit":
      return "PROHIBIT";
    case "throw":
      return "THROW";
    case "unicast":
      return "UNICAST";
  }
}

/** What a match may ask about the host. */
export interface HostView {
  readonly state: HostState;
  readonly router: Router;
}
