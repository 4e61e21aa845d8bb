import type { Cidr, Family, IpAddress, Port } from "./address.ts";
import { cidrContains, familyOf, formatCidr, parseSocketAddress } from "./address.ts";
import { CidrIndex } from "./cidr-index.ts";
import type { EndpointHints, Host, Pod, PodAddress } from "./model.ts";
import { quote } from "./quote.ts";
import type { RawHost, RawPod } from "./raw-topology.ts";
import { allOf, mapItems } from "./raw-topology.ts";
import { specialAddress } from "./special-address.ts";
import { Spot } from "./spot.ts";
import { portHint, swallowedPort } from "./swallowed-port.ts";
import type { Found, ValueReader } from "./value-reader.ts";
import { isMappedIpv4 } from "./value-reader.ts";

/** A pod with the host that runs it, and where it stands in the file. */
export interface PlacedPod {
  readonly pod: Pod;
  readonly host: Host;
  /** The list that it stands in, and its place there; not a Spot of its own, because a file may have 100,000 pods and no fault. */
  readonly list: Spot;
  readonly index: number;
}

export function spotOf({ pod, list, index }: PlacedPod): Spot {
  return list.item(index, { kind: "pod", name: pod.name });
}

/** The hosts, and what services need to find in them. */
export interface HostDirectory {
  readonly hosts: readonly Host[];
  readonly podsByName: ReadonlyMap<string, PlacedPod>;
  readonly podsByAddress: ReadonlyMap<IpAddress, PlacedPod>;
  readonly hostsByAddress: ReadonlyMap<IpAddress, Host>;
  readonly podCIDRs: CidrIndex<Host>;
}

export const NO_HINTS: EndpointHints = { zones: [], nodes: [] };

/** Reads the hosts of a topology file with their pods, and reports what stands twice or overlaps. */
export function buildHosts(raw: readonly (RawHost | undefined)[], reader: ValueReader): HostDirectory {
  const builder = new HostsBuilder(reader);
  const spot = Spot.root("the file").at("hosts");
  const hosts = mapItems(raw, (host, index) => builder.host(host, { hosts: spot, index }));
  return { ...builder.finish(), hosts };
}

interface PodBlock {
  readonly cidr: Cidr;
  readonly owner: Host;
  readonly spot: Spot;
}

class HostsBuilder {
  readonly #reader: ValueReader;
  readonly #hostNames = new Map<string, Spot>();
  readonly #hostsByAddress = new Map<IpAddress, Host>();
  readonly #hostAddressSpots = new Map<IpAddress, Spot>();
  readonly #podsByName = new Map<string, PlacedPod>();
  readonly #podsByAddress = new Map<IpAddress, PlacedPod>();
  /** `address port` of pods in the host's own network, which share its address. */
  readonly #sharedAddresses = new Map<string, Spot>();
  readonly #podBlocks: PodBlock[] = [];

  constructor(reader: ValueReader) {
    this.#reader = reader;
  }

  host(raw: RawHost, { hosts, index }: { hosts: Spot; index: number }): Host {
    const spot = hosts.item(index, { kind: "host", name: raw.name });
    const namedBefore = raw.name === undefined ? undefined : this.#hostNames.get(raw.name);
    if (namedBefore !== undefined) {
      this.#reader.duplicate("DUPLICATE_NAME", spot.at("name"), {
        first: namedBefore,
        reason: "another host has this name",
      });
    } else if (raw.name !== undefined) this.#hostNames.set(raw.name, spot.at("name"));
    const addresses = this.#hostAddresses(raw, spot);
    const blocks = this.#blocks(raw, spot);
    const pods: Pod[] = [];
    const host: Host = {
      name: raw.name ?? "",
      addresses: addresses.map(({ value }) => value),
      podCIDRs: blocks.map(({ value }) => value),
      ...(raw.zone === undefined ? {} : { zone: raw.zone }),
      pods,
    };
    for (const { value } of addresses) if (!this.#hostsByAddress.has(value)) this.#hostsByAddress.set(value, host);
    for (const block of blocks) this.#podBlocks.push({ cidr: block.value, owner: host, spot: block.spot });
    const list = spot.at("pods");
    raw.pods?.forEach((pod, place) => {
      if (pod !== undefined) pods.push(this.#pod(pod, { host, list, index: place }));
    });
    return host;
  }

  finish(): Omit<HostDirectory, "hosts"> {
    const podCIDRs = new CidrIndex<Host, PodBlock>(this.#podBlocks);
    for (const [first, second] of podCIDRs.overlaps) {
      this.#reader.duplicate("OVERLAPPING_POD_CIDRS", second.spot, {
        first: first.spot,
        reason: `its podCIDR ${formatCidr(second.cidr)} overlaps ${formatCidr(first.cidr)} of ${first.spot.subject}`,
      });
    }
    return {
      podsByName: this.#podsByName,
      podsByAddress: this.#podsByAddress,
      hostsByAddress: this.#hostsByAddress,
      podCIDRs,
    };
  }

  #hostAddresses(raw: RawHost, spot: Spot): readonly Found<IpAddress>[] {
    if (!("address" in raw || "addresses" in raw)) {
      this.#reader.error("MISSING_KEY", spot, "it has no `address`", "Give the address that other hosts reach it by");
    }
    const found: Found<IpAddress>[] = [];
    for (const { value, spot: at } of allOf(this.#reader, raw, { single: "address", many: "addresses", spot })) {
      const address = this.#reader.address(value, at);
      if (address === undefined) continue;
      const first = this.#hostAddressSpots.get(address);
      if (first !== undefined) {
        const reason = `the address ${address} is a host's already`;
        this.#reader.duplicate("DUPLICATE_ADDRESS", at, { first, reason });
      } else this.#hostAddressSpots.set(address, at);
      this.#reader.judge(address, "host", at);
      found.push({ value: address, spot: at });
    }
    return found;
  }

  #blocks(raw: RawHost, spot: Spot): readonly Found<Cidr>[] {
    const found = allOf(this.#reader, raw, { single: "podCIDR", many: "podCIDRs", spot }).flatMap((text) => {
      const cidr = this.#reader.cidr(text.value, text.spot);
      return cidr === undefined ? [] : [{ value: cidr, spot: text.spot }];
    });
    return this.#reader.onePerFamily(found, ({ address }) => address, "podCIDR");
  }

  #pod(raw: RawPod, { host, list, index }: { host: Host; list: Spot; index: number }): Pod {
    // What nearly every pod of a big file has needs no place in the text.
    const only = raw.addresses === undefined && raw.address !== undefined ? parseSocketAddress(raw.address) : undefined;
    const isPlain = only !== undefined && !isMappedIpv4(only.address);
    const found = isPlain ? undefined : this.#podAddresses(raw, list.item(index, { kind: "pod", name: raw.name }));
    const pod: Pod = {
      name: raw.name ?? "",
      addresses: found?.map(({ value }) => value) ?? (only === undefined ? [] : [only]),
      ready: raw.ready ?? true,
      serving: raw.serving ?? true,
      terminating: raw.terminating ?? false,
      hints: raw.hints === undefined ? NO_HINTS : readHints(raw.hints),
    };
    const placed: PlacedPod = { pod, host, list, index };
    if (raw.name !== undefined) this.#placePodName(raw.name, placed);
    if (found !== undefined) for (const { value, spot } of found) this.#placePodAddress(placed, value, spot);
    else if (only !== undefined) this.#placePodAddress(placed, only);
    return pod;
  }

  #placePodName(name: string, placed: PlacedPod): void {
    const before = this.#podsByName.get(name);
    if (before === undefined) {
      this.#podsByName.set(name, placed);
      return;
    }
    const first = spotOf(before).at("name");
    this.#reader.duplicate("DUPLICATE_NAME", spotOf(placed).at("name"), { first, reason: "another pod has this name" });
  }

  #podAddresses(raw: RawPod, spot: Spot): readonly Found<PodAddress>[] {
    if (!("address" in raw || "addresses" in raw)) {
      this.#reader.error("MISSING_KEY", spot, "it has no `address`", 'Give one like "10.5.75.2:3000"');
    }
    const found: Found<PodAddress>[] = [];
    for (const text of allOf(this.#reader, raw, { single: "address", many: "addresses", spot })) {
      const address = this.#reader.podAddress(text.value, text.spot);
      if (address !== undefined) found.push({ value: address, spot: text.spot });
    }
    return this.#reader.onePerFamily(found, ({ address }) => address, "address of a pod");
  }

  /** @param spot where the address stands, if not simply under the pod's `address` */
  #placePodAddress(placed: PlacedPod, { address, port }: PodAddress, spot?: Spot): void {
    const { host } = placed;
    if (host.addresses.includes(address)) {
      this.#placeSharedAddress(placed, { address, port, spot: spot ?? spotOf(placed).at("address") });
      return;
    }
    if (specialAddress(address) !== undefined)
      this.#reader.judge(address, "endpoint", spot ?? spotOf(placed).at("address"));
    const before = this.#podsByAddress.get(address);
    if (before === undefined) this.#podsByAddress.set(address, placed);
    const owner = this.#hostsByAddress.get(address);
    const block = podCidrOf(host, familyOf(address));
    const isOutside = block !== undefined && !cidrContains(block, address);
    if (before === undefined && owner === undefined && !isOutside) return;
    const at = spot ?? spotOf(placed).at("address");
    if (before !== undefined) {
      const reason = `the address ${address} is a pod's already`;
      this.#reader.duplicate("DUPLICATE_ADDRESS", at, { first: spotOf(before).at("address"), reason });
    }
    if (owner !== undefined) {
      const reason = `the address ${address} is that of host ${quote(owner.name)}`;
      this.#reader.error("DUPLICATE_ADDRESS", at, reason);
    }
    if (isOutside) {
      const reason = `${address} is outside its host's podCIDR ${formatCidr(block)}`;
      const meant = swallowedPort(address);
      const hint = meant !== undefined && cidrContains(block, meant.address) ? portHint(meant) : undefined;
      this.#reader.warning("POD_OUTSIDE_CIDR", at, reason, hint);
    }
  }

  /** Pods in the host's own network have its address, and differ by port. */
  #placeSharedAddress(
    placed: PlacedPod,
    { address, port, spot }: { address: IpAddress; port: Port | undefined; spot: Spot },
  ): void {
    if (!this.#podsByAddress.has(address)) this.#podsByAddress.set(address, placed);
    const key = `${address} ${port ?? ""}`;
    const first = this.#sharedAddresses.get(key);
    if (first === undefined) this.#sharedAddresses.set(key, spot);
    else {
      const reason = `another pod in the host's network has ${address} and the same port`;
      this.#reader.duplicate("DUPLICATE_ADDRESS", spot, { first, reason });
    }
  }
}

function podCidrOf({ podCIDRs }: Host, family: Family): Cidr | undefined {
  for (const cidr of podCIDRs) if (familyOf(cidr.address) === family) return cidr;
  return undefined;
}

function readHints(raw: NonNullable<RawPod["hints"]>): EndpointHints {
  const names = (hints: readonly (string | { readonly name?: string | undefined } | undefined)[] = []) =>
    hints.flatMap((hint) => (typeof hint === "string" ? hint : (hint?.name ?? [])));
  return { zones: names(raw.forZones), nodes: names(raw.forNodes) };
}
