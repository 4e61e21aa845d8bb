import type { Cidr, IpAddress } from "./address.ts";
import { cidrContains, formatCidr } from "./address.ts";
import { CidrIndex } from "./cidr-index.ts";
import type { Path } from "./fault-report.ts";
import type { EndpointHints, Host, Pod, PodAddress } from "./model.ts";
import type { RawHost, RawPod } from "./raw-topology.ts";
import { allOf, entriesOf } from "./raw-topology.ts";
import type { Found, Spot, ValueReader } from "./value-reader.ts";

/** A pod with the host that runs it. */
export interface PlacedPod {
  readonly pod: Pod;
  readonly host: Host;
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
  const hosts = entriesOf(raw).map(([index, host]) => builder.host(host, ["hosts", index]));
  return { ...builder.finish(), hosts };
}

class HostsBuilder {
  readonly #reader: ValueReader;
  readonly #podsByName = new Map<string, PlacedPod>();
  readonly #podsByAddress = new Map<IpAddress, PlacedPod>();
  readonly #hostsByAddress = new Map<IpAddress, Host>();
  readonly #podCIDRs: { cidr: Cidr; owner: Host; spot: Spot }[] = [];
  readonly #first = new Map<string, Spot>();

  constructor(reader: ValueReader) {
    this.#reader = reader;
  }

  host(raw: RawHost, path: Path): Host {
    const name = raw.name ?? "";
    const at =
      (...rest: Path): Spot =>
      () => ({ subject: `host ${JSON.stringify(name)}`, path: [...path, ...rest] });
    this.#unique(
      "DUPLICATE_NAME",
      `host ${name}`,
      { spot: at("name"), reason: "another host has this name" },
      raw.name,
    );
    const addresses = this.#hostAddresses(raw, at);
    const cidrs = allOf(this.#reader, raw, { single: "podCIDR", many: "podCIDRs", at }).flatMap(({ value, spot }) => {
      const cidr = this.#reader.cidr(value, spot);
      return cidr === undefined ? [] : [{ value: { cidr, spot }, spot }];
    });
    const podCIDRs = this.#reader.onePerFamily(cidrs, ({ cidr }) => cidr.address, "podCIDR");
    const pods: Pod[] = [];
    const host: Host = {
      name,
      addresses: addresses.map(({ value }) => value),
      podCIDRs: podCIDRs.map(({ cidr }) => cidr),
      ...(raw.zone === undefined ? {} : { zone: raw.zone }),
      pods,
    };
    for (const { value } of addresses) if (!this.#hostsByAddress.has(value)) this.#hostsByAddress.set(value, host);
    for (const { cidr, spot } of podCIDRs) this.#podCIDRs.push({ cidr, owner: host, spot });
    for (const [index, pod] of entriesOf(raw.pods)) pods.push(this.#pod(pod, { host, path: [...path, "pods", index] }));
    return host;
  }

  finish(): Omit<HostDirectory, "hosts"> {
    const podCIDRs = new CidrIndex(this.#podCIDRs);
    for (const [first, second] of podCIDRs.overlaps) {
      this.#reader.duplicate("OVERLAPPING_POD_CIDRS", second.spot, {
        first: first.spot,
        reason: `its podCIDR ${formatCidr(second.cidr)} overlaps ${formatCidr(first.cidr)} of ${first.spot().subject}`,
      });
    }
    return {
      podsByName: this.#podsByName,
      podsByAddress: this.#podsByAddress,
      hostsByAddress: this.#hostsByAddress,
      podCIDRs,
    };
  }

  #hostAddresses(raw: RawHost, at: (...rest: Path) => Spot): readonly Found<IpAddress>[] {
    const texts = allOf(this.#reader, raw, { single: "address", many: "addresses", at });
    if (raw.address === undefined && raw.addresses === undefined && !("address" in raw || "addresses" in raw)) {
      this.#reader.error("MISSING_KEY", at(), "it has no `address`", "Give the address that other hosts reach it by");
    }
    return texts.flatMap(({ value, spot }) => {
      const address = this.#reader.address(value, spot);
      if (address === undefined) return [];
      const reason = `the address ${address} is a host's already`;
      this.#unique("DUPLICATE_ADDRESS", `host address ${address}`, { spot, reason });
      return [{ value: address, spot }];
    });
  }

  #pod(raw: RawPod, { host, path }: { host: Host; path: Path }): Pod {
    const name = raw.name ?? "";
    const at =
      (...rest: Path): Spot =>
      () => ({ subject: `pod ${JSON.stringify(name)}`, path: [...path, ...rest] });
    this.#unique("DUPLICATE_NAME", `pod ${name}`, { spot: at("name"), reason: "another pod has this name" }, raw.name);
    if (!("address" in raw || "addresses" in raw)) {
      this.#reader.error("MISSING_KEY", at(), "it has no `address`", 'Give one like "10.5.75.2:3000"');
    }
    const found: Found<PodAddress>[] = [];
    for (const { value, spot } of allOf(this.#reader, raw, { single: "address", many: "addresses", at })) {
      const address = this.#reader.podAddress(value, spot);
      if (address !== undefined) found.push({ value: address, spot });
    }
    const addresses =
      found.length === 1
        ? found.map(({ value }) => value)
        : this.#reader.onePerFamily(found, ({ address }) => address, "address of a pod");
    const pod: Pod = {
      name,
      addresses,
      ready: raw.ready ?? true,
      serving: raw.serving ?? true,
      terminating: raw.terminating ?? false,
      hints: raw.hints === undefined ? NO_HINTS : readHints(raw.hints),
    };
    const placed = { pod, host };
    if (!this.#podsByName.has(name)) this.#podsByName.set(name, placed);
    for (const { value, spot } of found) this.#placePodAddress(placed, value, spot);
    return pod;
  }

  #placePodAddress(placed: PlacedPod, { address, port }: PodAddress, spot: Spot): void {
    const { host } = placed;
    // Pods in the host's own network share its address and differ by port.
    const shared = host.addresses.includes(address);
    const key = shared ? `pod address ${address} ${port ?? ""}` : `pod address ${address}`;
    this.#unique("DUPLICATE_ADDRESS", key, { spot, reason: `the address ${address} is a pod's already` });
    if (!this.#podsByAddress.has(address)) this.#podsByAddress.set(address, placed);
    if (shared) return;
    const other = this.#hostsByAddress.get(address);
    if (other !== undefined) {
      const reason = `the address ${address} is that of host ${JSON.stringify(other.name)}`;
      this.#reader.error("DUPLICATE_ADDRESS", spot, reason);
    }
    const ofFamily = host.podCIDRs.filter((cidr) => cidr.address.includes(":") === address.includes(":"));
    if (ofFamily.length > 0 && !ofFamily.some((cidr) => cidrContains(cidr, address))) {
      const cidrs = ofFamily.map(formatCidr).join(", ");
      this.#reader.warning("POD_OUTSIDE_CIDR", spot, `${address} is outside its host's podCIDR ${cidrs}`);
    }
  }

  /** Reports the second of two equal keys; `known` undefined means that the value itself could not be read. */
  #unique(
    code: "DUPLICATE_NAME" | "DUPLICATE_ADDRESS",
    key: string,
    { spot, reason }: { spot: Spot; reason: string },
    ...known: readonly (string | undefined)[]
  ): void {
    if (known.length > 0 && known[0] === undefined) return;
    const first = this.#first.get(key);
    if (first === undefined) this.#first.set(key, spot);
    else this.#reader.duplicate(code, spot, { first, reason });
  }
}

function readHints(raw: NonNullable<RawPod["hints"]>): EndpointHints {
  const names = (hints: readonly (string | { readonly name?: string | undefined } | undefined)[] = []) =>
    hints.flatMap((hint) => (typeof hint === "string" ? hint : (hint?.name ?? [])));
  return { zones: names(raw.forZones), nodes: names(raw.forNodes) };
}
