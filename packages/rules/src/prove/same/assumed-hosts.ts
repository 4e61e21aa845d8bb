import {
  addressBits,
  addressFromBits,
  addressWidth,
  type Cidr,
  cidrContains,
  type Family,
  familyOf,
  formatCidr,
  type IpAddress,
  parseCidr,
} from "@svcproxy/topology";
import { type HostRules, hostRulesOf } from "../../hooks/host-rules.ts";
import type { HostState, InterfaceAddress, NetworkInterface, Route } from "../../host/host-state.ts";
import { DEFAULT_POLICY_RULES, IMPLIED_SYSCTLS, LOOPBACK, localRoutes } from "../../host/host-state-of.ts";
import type { Rule, RuleSet } from "../../rule-set.ts";
import { namedByNft } from "./named-by-nft.ts";

/** Hosts on which rules are compared where nobody says which host they are for, and what they are like, in half a sentence. */
export interface AssumedHosts {
  readonly hosts: readonly HostState[];
  readonly told: string;
}

/** What the rules of a host name, and so tell apart. */
interface Named {
  readonly devices: Set<string>;
  /** What interfaces begin with that are asked for by `+` or `*`: of each there is one that no rule names otherwise. */
  readonly prefixes: Set<string>;
  /** By which device a block is reached, by the block as text. */
  readonly routes: Map<string, { readonly block: Cidr; readonly device: string }>;
  /** Single addresses. */
  readonly addresses: Set<IpAddress>;
  readonly blocks: Map<string, Cidr>;
}

/** More addresses of its own no host is given. */
const MAX_ADDRESSES = 1000;

/**
 * Makes up hosts on which every condition of the rules can hold: they forward, have every interface that a rule names,
 * each with a network of its own and with the blocks that a rule looks for behind it, and an address in every block. To the
 * first belongs no single address that a rule names; to the second belong all of them.
 */
export function assumedHosts(rules: readonly (RuleSet | HostRules)[], family: Family): AssumedHosts {
  const named: Named = {
    ...{ devices: new Set(), prefixes: new Set(), routes: new Map(), addresses: new Set(), blocks: new Map() },
  };
  for (const one of rules) {
    const { iptables, nft } = hostRulesOf(one);
    for (const backend of iptables)
      for (const { chains } of backend.rules.tables)
        for (const chain of chains) for (const rule of chain.rules) readNames(named, rule, family);
    const { devices, addresses } = namedByNft(nft);
    for (const name of devices) addDevice(named, name);
    for (const address of addresses) if (familyOf(address) === family) named.addresses.add(address);
  }
  named.devices.add(UPLINK).delete("lo");
  for (const prefix of named.prefixes) named.devices.add(freeName(named.devices, prefix));
  const devices = [...named.devices];
  return {
    hosts: [hostWith(named, [], family), hostWith(named, [...named.addresses].slice(0, MAX_ADDRESSES), family)],
    told:
      `a host that forwards, with ${devices.length === 1 ? "the interface" : "interfaces"} ${devices.slice(0, 10).join(", ")}` +
      `${devices.length > 10 ? ", …" : ""}; once with the addresses that rules name as its own, once without`,
  };
}

const UPLINK = "eth0";

/** @returns the name of the interface, and of a pattern one that it is for; undefined where it is for all */
function addDevice({ devices, prefixes }: Named, pattern: string): string | undefined {
  const isPattern = /[+*]$/.test(pattern);
  const name = isPattern ? `${pattern.slice(0, -1)}0` : pattern;
  if (pattern === "" || name === "0") return undefined;
  if (isPattern) prefixes.add(pattern.slice(0, -1));
  devices.add(name);
  return name;
}

function freeName(devices: ReadonlySet<string>, prefix: string): string {
  for (let number = 1; ; number++) if (!devices.has(`${prefix}${number}`)) return `${prefix}${number}`;
}

function readNames(named: Named, { matches }: Rule, family: Family): void {
  const devices: Partial<Record<"in" | "out", string>> = {};
  const blocks: Partial<Record<"in" | "out", Cidr>> = {};
  for (const match of matches) {
    if (match.kind === "inInterface" || match.kind === "outInterface") {
      const name = addDevice(named, match.name);
      if (name !== undefined && !match.negated) devices[match.kind === "inInterface" ? "in" : "out"] = name;
    } else if (match.kind === "source" || match.kind === "destination") {
      const { cidr } = match;
      if (cidr.prefixLength === 0 || isSpecial(cidr)) continue;
      if (cidr.prefixLength === addressWidth(family)) named.addresses.add(cidr.address);
      else named.blocks.set(formatCidr(cidr), cidr);
      if (!match.negated) blocks[match.kind === "source" ? "in" : "out"] = cidr;
    }
  }
  for (const way of ["in", "out"] as const) {
    const [device, block] = [devices[way], blocks[way]];
    if (device !== undefined && device !== "lo" && block !== undefined && !named.routes.has(formatCidr(block)))
      named.routes.set(formatCidr(block), { block, device });
  }
}

const SPECIAL = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::1/128", "fe80::/10", "ff00::/8"].flatMap(
  (text) => parseCidr(text) ?? [],
);

function isSpecial({ address }: Cidr): boolean {
  return SPECIAL.some((block) => familyOf(block.address) === familyOf(address) && cidrContains(block, address));
}

function hostWith({ devices, routes, blocks }: Named, own: readonly IpAddress[], family: Family): HostState {
  const single = (address: IpAddress): InterfaceAddress => ({ address, prefixLength: addressWidth(family) });
  const inBlocks = [...blocks.values()].slice(0, MAX_ADDRESSES).map(({ address }) => after(address, 1n));
  const main = { metric: 0, table: "main", type: "unicast" as const };
  const interfaces: NetworkInterface[] = [LOOPBACK];
  const connected: Route[] = [];
  for (const name of devices) {
    // The first 200 have a network each; a name is told apart without one as well.
    const network = parseCidr(family === 4 ? `198.18.${connected.length}.0/24` : `2001:db8:0:${connected.length}::/64`);
    const addresses: InterfaceAddress[] = [];
    if (network !== undefined && connected.length < 200) {
      addresses.push({ address: after(network.address, 1n), prefixLength: network.prefixLength });
      connected.push({ ...main, destination: network, interface: name });
      const everything = parseCidr(family === 4 ? "0.0.0.0/0" : "::/0");
      if (name === UPLINK && everything !== undefined)
        connected.push({ ...main, destination: everything, interface: name, gateway: after(network.address, 2n) });
    }
    if (name === UPLINK) addresses.push(...[...own, ...inBlocks].map(single));
    interfaces.push({ name, isLoopback: false, addresses });
  }
  const behind = [...routes.values()].map(({ block, device }) => ({ ...main, destination: block, interface: device }));
  return {
    interfaces,
    routes: [...localRoutes(interfaces), ...behind, ...connected],
    policyRules: DEFAULT_POLICY_RULES,
    sysctls: IMPLIED_SYSCTLS,
  };
}

function after(address: IpAddress, count: bigint): IpAddress {
  return addressFromBits(familyOf(address), addressBits(address) + count);
}
