import { type Family, type IpAddress, parseIpAddress } from "@svcproxy/topology";

/** From where a packet is sent: the namespaces around the host, and the host itself. */
export const SIDES = ["pod1", "pod2", "outside", "remote", "host"] as const;
export type Side = (typeof SIDES)[number];

/** How the host calls what leads to each side; undefined for itself. */
export const ENTRY: Readonly<Record<Side, string | undefined>> = {
  pod1: "vpod1",
  pod2: "vpod2",
  outside: "eth0",
  remote: "flannel.1",
  host: undefined,
};

/** The MAC address from which each side's frames come. */
export const MAC_OF: Readonly<Record<Exclude<Side, "host">, string>> = {
  pod1: "02:00:00:00:01:02",
  pod2: "02:00:00:00:01:03",
  outside: "02:00:00:00:01:07",
  remote: "02:00:00:00:01:08",
};

/** Addresses of one family in the test's world. */
export interface WorldAddresses {
  /** Addresses of each side; the first is its own, the others are only sent from. */
  readonly from: Readonly<Record<Side, readonly string[]>>;
  readonly services: readonly string[];
  /** What has a place of its own in the host's routes: policy routing, blackhole, unreachable, prohibit. */
  readonly odd: readonly string[];
  /** Blocks for rules to match on. */
  readonly blocks: readonly string[];
}

export const WORLD: Readonly<Record<Family, WorldAddresses>> = {
  4: {
    from: {
      pod1: ["10.1.0.2", "10.1.0.9", "203.0.113.5"],
      pod2: ["10.1.0.3"],
      outside: ["192.168.7.7", "203.0.113.9", "192.168.7.1"],
      remote: ["10.2.0.2", "203.0.113.9"],
      host: ["192.168.7.6", "192.168.7.60", "10.1.0.1", "10.1.0.0", "127.0.0.1"],
    },
    services: ["10.100.100.1", "10.100.100.2", "10.100.100.3"],
    odd: ["10.9.0.9", "10.66.0.1", "10.67.0.1", "10.68.0.1"],
    blocks: [
      "10.1.0.0/24",
      "10.2.0.0/24",
      "10.100.0.0/16",
      "192.168.7.0/24",
      "10.0.0.0/8",
      "203.0.113.0/24",
      "127.0.0.0/8",
      "0.0.0.0/0",
    ],
  },
  6: {
    from: {
      pod1: ["fd01::2", "fd01::9", "2001:db8::5"],
      pod2: ["fd01::3"],
      outside: ["fd07::7", "2001:db8::9"],
      remote: ["fd02::2", "2001:db8::9"],
      host: ["fd07::6", "fd01::1", "fd01::aa", "::1"],
    },
    services: ["fd64::1", "fd64::2", "fd64::3"],
    odd: ["fd09::9", "fd66::1", "fd67::1", "fd68::1"],
    blocks: ["fd01::/64", "fd02::/64", "fd64::/16", "fd07::/64", "fd00::/8", "2001:db8::/32", "::/0"],
  },
};

export const PORTS = [80, 443, 7070, 3000, 34211, 53] as const;

/** Settings of the host that change from rule set to rule set. */
export interface WorldSettings {
  readonly rpFilter: 0 | 1 | 2;
  readonly bridgeNf: boolean;
  readonly routeLocalnet: boolean;
  readonly forwarding: boolean;
}

export const DEFAULT_SETTINGS: WorldSettings = { rpFilter: 1, bridgeNf: true, routeLocalnet: false, forwarding: true };

/** An address that the test's author wrote. */
export function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new TypeError(`no address: ${text}`);
  return parsed;
}
