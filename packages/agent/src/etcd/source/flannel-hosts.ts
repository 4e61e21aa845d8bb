import { parseCidr, parseIpAddress } from "@svcproxy/topology";
import type { EtcdEntry } from "../client/etcd-store.ts";

/** A host as flannel keeps it: one key for each lease of a subnet. */
export interface FlannelHost {
  readonly stored: EtcdEntry;
  /** The address by which other hosts reach it; of each family that it has. */
  readonly addresses: readonly string[];
  readonly podCIDRs: readonly string[];
}

export interface FlannelHosts {
  readonly hosts: readonly FlannelHost[];
  /** Keys that are no lease. */
  readonly unread: readonly EtcdEntry[];
}

/** `10.1.2.0-24`, and `10.1.2.0-24&fd00--0-64` for both families; IPv6 with its colons as dashes or as they are. */
const SUBNET = /^(?:(\d+\.\d+\.\d+\.\d+)-(\d+))?&?(?:([0-9a-fA-F:-]+)-(\d+))?$/;

/**
 * The hosts of flannel's leases.
 *
 * @param stored what lies below `<flannel's prefix>/subnets/`
 * @see https://github.com/flannel-io/flannel, pkg/subnet/etcd/registry.go
 */
export function readFlannelHosts(stored: Iterable<EtcdEntry>): FlannelHosts {
  const hosts: FlannelHost[] = [];
  const unread: EtcdEntry[] = [];
  for (const entry of stored) {
    const host = readLease(entry);
    if (host === undefined) unread.push(entry);
    else hosts.push(host);
  }
  return { hosts, unread };
}

function readLease(stored: EtcdEntry): FlannelHost | undefined {
  const parts = SUBNET.exec(stored.key.slice(stored.key.lastIndexOf("/") + 1));
  if (parts === null) return undefined;
  const [, four, fourBits, six, sixBits] = parts;
  const podCIDRs = [
    ...(four === undefined ? [] : [`${four}/${fourBits}`]),
    ...(six === undefined ? [] : [`${six.includes(":") ? six : six.replaceAll("-", ":")}/${sixBits}`]),
  ].filter((cidr) => parseCidr(cidr) !== undefined);
  const lease = leaseOf(stored.value.toString("utf8"));
  const addresses = [lease["PublicIP"], lease["PublicIPv6"]].filter(
    (address) => typeof address === "string" && parseIpAddress(address) !== undefined,
  );
  const used = addresses.filter((address) => typeof address === "string");
  return podCIDRs.length === 0 || used.length === 0 ? undefined : { stored, addresses: used, podCIDRs };
}

function leaseOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
