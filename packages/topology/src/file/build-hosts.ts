import {
  type Cidr,
  cidrContains,
  type Family,
  familyOf,
  formatCidr,
  type IpAddress,
  type Port,
  parseSocketAddress,
} from "../address.ts";
import { CidrIndex } from "../cidr-index.ts";
import { portHint, swallowedPort } from "../explain-address.ts";
import type { EndpointHints, Host, Pod, PodAddress } from "../model.ts";
import { specialAddress } from "../special-address.ts";
import { SubjectPath } from "../subject-path.ts";
import { type Found, isMappedIpv4, type ValueReader } from "../value-reader.ts";
import { quote } from "../visible.ts";
import { allOf, mapItems, type RawHost, type RawPod } from "./raw-topology.ts";

/** A pod with the host that runs it, and where it stands in the file. */
export interface PlacedPod {
  readonly pod: Pod;
  readonly host: Host;
  /** The list that it stands in, and its place there; not a SubjectPath of its own, because a file may have 100,000 pods and no fault. */
  readonly list: SubjectPath;
  readonly index: number;
}

export function whereOf({ pod, list, index }: PlacedPod): SubjectPath {
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
  const where = SubjectPath.root("the file").at("hosts");
  const hosts = mapItems(raw, (host, index) => builder.host(host, { hosts: where, index }));
  return { ...builder.finish(), hosts };
}

interface PodBlock {
  readonly cidr: Cidr;
  readonly owner: Host;
  readonly where: SubjectPath;
}

class HostsBuilder {
  readonly #reader: ValueReader;
  readonly #hostNames = new Map<string, SubjectPath>();
  readonly #hostsByAddress = new Map<IpAddress, Host>();
  readonly #hostAddressPaths = new Map<IpAddress, SubjectPath>();
  readonly #podsByName = new Map<string, PlacedPod>();
  readonly #podsByAddress = new Map<IpAddress, PlacedPod>();
  /** `address port` of pods in the host's own network, which share its address. */
  readonly #sharedAddresses = new Map<string, SubjectPath>();
  readonly #podBlocks: PodBlock[] = [];

  constructor(reader: ValueReader) {
    this.#reader = reader;
  }

  host(raw: RawHost, { hosts, index }: { hosts: SubjectPath; index: number }): Host {
    const where = hosts.item(index, { kind: "host", name: raw.name });
    const namedBefore = raw.name === undefined ? undefined : this.#hostNames.get(raw.name);
    if (namedBefore !== undefined) {
      this.#reader.duplicate("DUPLICATE_NAME", where.at("name"), {
        first: namedBefore,
        reason: "another host has this name",
      });
    } else if (raw.name !== undefined) this.#hostNames.set(raw.name, where.at("name"));
    const addresses = this.#hostAddresses(raw, where);
    const blocks = this.#blocks(raw, where);
    const pods: Pod[] = [];
    const host: Host = {
      name: raw.name ?? "",
      addresses: addresses.map(({ value }) => value),
      podCIDRs: blocks.map(({ value }) => value),
      ...(raw.zone === undefined ? {} : { zone: raw.zone }),
      pods,
    };
    for (const { value } of addresses) if (!this.#hostsByAddress.has(value)) this.#hostsByAddress.set(value, host);
    for (const block of blocks) this.#podBlocks.push({ cidr: block.value, owner: host, where: block.where });
    const list = where.at("pods");
    raw.pods?.forEach((pod, place) => {
      if (pod !== undefined) pods.push(this.#pod(pod, { host, list, index: place }));
    });
    return host;
  }

  finish(): Omit<HostDirectory, "hosts"> {
    const podCIDRs = new CidrIndex<Host, PodBlock>(this.#podBlocks);
    for (const [first, second] of podCIDRs.overlaps) {
      this.#reader.duplicate("OVERLAPPING_POD_CIDRS", second.where, {
        first: first.where,
        reason: `its podCIDR ${formatCidr(second.cidr)} overlaps ${formatCidr(first.cidr)} of ${first.where.subject}`,
      });
    }
    return {
      podsByName: this.#podsByName,
      podsByAddress: this.#podsByAddress,
      hostsByAddress: this.#hostsByAddress,
      podCIDRs,
    };
  }

  #hostAddresses(raw: RawHost, where: SubjectPath): readonly Found<IpAddress>[] {
    if (!("address" in raw || "addresses" in raw)) {
      this.#reader.error("MISSING_KEY", where, "it has no `address`", "Give the address that other hosts reach it by");
    }
    const found: Found<IpAddress>[] = [];
    for (const { value, where: at } of allOf(this.#reader, raw, { single: "address", many: "addresses", where })) {
      const address = this.#reader.address(value, at);
      if (address === undefined) continue;
      const first = this.#hostAddressPaths.get(address);
      if (first !== undefined) {
        const reason = `the address ${address} is a host's already`;
        this.#reader.duplicate("DUPLICATE_ADDRESS", at, { first, reason });
      } else this.#hostAddressPaths.set(address, at);
      this.#reader.judge(address, "host", at);
      found.push({ value: address, where: at });
    }
    return found;
  }

  #blocks(raw: RawHost, where: SubjectPath): readonly Found<Cidr>[] {
    const found = allOf(this.#reader, raw, { single: "podCIDR", many: "podCIDRs", where }).flatMap((text) => {
      const cidr = this.#reader.cidr(text.value, text.where);
      return cidr === undefined ? [] : [{ value: cidr, where: text.where }];
    });
    return this.#reader.onePerFamily(found, ({ address }) => address, "podCIDR");
  }

  #pod(raw: RawPod, { host, list, index }: { host: Host; list: SubjectPath; index: number }): Pod {
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
    if (found !== undefined) for (const { value, where } of found) this.#placePodAddress(placed, value, where);
    else if (only !== undefined) this.#placePodAddress(placed, only);
    return pod;
  }

  #placePodName(name: string, placed: PlacedPod): void {
    const before = this.#podsByName.get(name);
    if (before === undefined) {
      this.#podsByName.set(name, placed);
      return;
    }
    const first = whereOf(before).at("name");
    this.#reader.duplicate("DUPLICATE_NAME", whereOf(placed).at("name"), {
      first,
      reason: "another pod has this name",
    });
  }

  #podAddresses(raw: RawPod, where: SubjectPath): readonly Found<PodAddress>[] {
    if (!("address" in raw || "addresses" in raw)) {
      this.#reader.error("MISSING_KEY", where, "it has no `address`", 'Give one like "10.5.75.2:3000"');
    }
    const found: Found<PodAddress>[] = [];
    for (const text of allOf(this.#reader, raw, { single: "address", many: "addresses", where })) {
      const address = this.#reader.podAddress(text.value, text.where);
      if (address !== undefined) found.push({ value: address, where: text.where });
    }
    return this.#reader.onePerFamily(found, ({ address }) => address, "address of a pod");
  }

  /** @param where where the address stands, if not simply under the pod's `address` */
  #placePodAddress(placed: PlacedPod, { address, port }: PodAddress, where?: SubjectPath): void {
    const { host } = placed;
    if (host.addresses.includes(address)) {
      this.#placeSharedAddress(placed, { address, port, where: where ?? whereOf(placed).at("address") });
      return;
    }
    if (specialAddress(address) !== undefined)
      this.#reader.judge(address, "endpoint", where ?? whereOf(placed).at("address"));
    const before = this.#podsByAddress.get(address);
    if (before === undefined) this.#podsByAddress.set(address, placed);
    const owner = this.#hostsByAddress.get(address);
    const block = podCidrOf(host, familyOf(address));
    const isOutside = block !== undefined && !cidrContains(block, address);
    if (before === undefined && owner === undefined && !isOutside) return;
    const at = where ?? whereOf(placed).at("address");
    if (before !== undefined) {
      const reason = `the address ${address} is a pod's already`;
      this.#reader.duplicate("DUPLICATE_ADDRESS", at, { first: whereOf(before).at("address"), reason });
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
    { address, port, where }: { address: IpAddress; port: Port | undefined; where: SubjectPath },
  ): void {
    if (!this.#podsByAddress.has(address)) this.#podsByAddress.set(address, placed);
    const key = `${address} ${port ?? ""}`;
    const first = this.#sharedAddresses.get(key);
    if (first === undefined) this.#sharedAddresses.set(key, where);
    else {
      const reason = `another pod in the host's network has ${address} and the same port`;
      this.#reader.duplicate("DUPLICATE_ADDRESS", where, { first, reason });
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
