import { cidrContains, type Family, familyOf, type IpAddress, parseCidr } from "@svcproxy/topology";
import type { HostState, NetworkInterface, PolicyRule, Route } from "./host-state.ts";
import { DEFAULT_POLICY_RULES } from "./host-state-of.ts";
import { indexTables, lookUp, type RouteAnswer, type RouteQuery, type Tables, tableKey } from "./policy-routing.ts";

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
  /** What the main table alone has for an address. */
  mainRoute(destination: IpAddress): Route | undefined;
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

/** Prepares the host's tables: policy rules by priority, routes by longest prefix and then metric. */
export function createRouter(state: HostState): Router {
  const interfaces = new Map(state.interfaces.map((device) => [device.name, device]));
  const tables = indexTables(state.routes);
  const policies = { 4: policyOf(state, 4), 6: policyOf(state, 6) };
  const answers = new Map<string, RouteAnswer>();
  const types = new Map<string, AddressType>();

  function lookup(query: RouteQuery): RouteAnswer {
    const policy = policies[familyOf(query.destination)];
    const key = policy.keyOf(query);
    const known = answers.get(key);
    if (known !== undefined) return known;
    const answer = lookUp({ policy: policy.rules, tables, at: 0 }, query);
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
    mainRoute: (destination) =>
      (tables.get(tableKey("main", familyOf(destination))) ?? []).find((route) =>
        cidrContains(route.destination, destination),
      ),
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

interface Policy {
  readonly rules: readonly PolicyRule[];
  /** Equal for queries that the rules cannot tell apart. */
  keyOf(query: RouteQuery): string;
}

function policyOf(state: HostState, family: Family): Policy {
  const rules = state.policyRules.filter((rule) => rule.family === family);
  const all = rules.length === 0 ? DEFAULT_POLICY_RULES.filter((rule) => rule.family === family) : rules;
  const asksHeader = all.some((rule) => rule.tos !== undefined || rule.protocol !== undefined || hasPorts(rule));
  return {
    rules: [...all].sort((a, b) => a.priority - b.priority),
    keyOf({ destination, source, mark, inInterface, onlyInterface, tos, protocol, sourcePorts, destinationPorts }) {
      const key = `${destination} ${source ?? ""} ${mark} ${inInterface} ${onlyInterface ?? ""}`;
      return asksHeader ? `${key} ${JSON.stringify([tos, protocol, sourcePorts, destinationPorts])}` : key;
    },
  };
}

function hasPorts({ sourcePorts, destinationPorts }: PolicyRule): boolean {
  return sourcePorts !== undefined || destinationPorts !== undefined;
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

const LIMITED_BROADCAST = parseCidr("255.255.255.255/32");

/** What comes in for 255.255.255.255 is for the host, whatever its routes say. @see linux ip_route_input_slow */
export const TO_ALL: Route | undefined =
  LIMITED_BROADCAST === undefined
    ? undefined
    : { destination: LIMITED_BROADCAST, type: "broadcast", metric: 0, table: "local" };

/** What a match may ask about the host. */
export interface HostView {
  readonly state: HostState;
  readonly router: Router;
}
