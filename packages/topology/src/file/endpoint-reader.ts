import {
  type Family,
  familyOf,
  formatSocketAddress,
  type IpAddress,
  type Port,
  parseIpAddress,
  parseSocketAddress,
} from "../address.ts";
import { explainAddress, portHint, swallowedPort } from "../explain-address.ts";
import { keptList } from "../kept-list.ts";
import type { Endpoint, PodAddress } from "../model.ts";
import { nearestWord } from "../nearest-word.ts";
import type { SubjectPath } from "../subject-path.ts";
import type { ValueReader } from "../value-reader.ts";
import { quote } from "../visible.ts";
import { type HostDirectory, NO_HINTS, type PlacedPod, whereOf } from "./build-hosts.ts";

/** An endpoint as a service lists it: its port may depend on the service's port. */
export interface Target {
  readonly addresses: readonly PodAddress[];
  readonly placed: PlacedPod | undefined;
  /** Its place in the list as written. */
  readonly index: number;
}

/** The service port for which targets become endpoints. */
export interface TargetedPort {
  /** 0-based place in the list as written. */
  readonly index: number;
  /** As written; undefined where it could not be read. */
  readonly number: number | undefined;
  /** Where the service lists its endpoints. */
  readonly list: SubjectPath;
  /** Undefined for a headless service: endpoints of any family are right. */
  readonly families: ReadonlySet<Family> | undefined;
  readonly targetPort: Port | undefined;
  /** Set where there is a `targetPort` that could not be read, so that its lack is not a second fault. */
  readonly isTargetPortBroken: boolean;
}

/** So many misspelt endpoints are compared with every pod's name; the rest go without that hint. */
const MAX_NAME_HINTS = 20;

/** Finds out who serves a service of a topology file. */
export class EndpointReader {
  readonly #reader: ValueReader;
  readonly #directory: HostDirectory;
  #nameHints = 0;

  constructor(reader: ValueReader, directory: HostDirectory) {
    this.#reader = reader;
    this.#directory = directory;
  }

  /** What a service lists, each a pod's name or an address with or without a port. */
  targets(texts: readonly (string | undefined)[], list: SubjectPath): readonly Target[] {
    const targets: Target[] = [];
    texts.forEach((text, index) => {
      if (text === undefined) return;
      const placed = this.#directory.podsByName.get(text);
      if (placed !== undefined) targets.push({ addresses: placed.pod.addresses, placed, index });
      else {
        const addresses = this.#addresses(text, list.at(index));
        const [first] = addresses;
        if (first !== undefined) {
          targets.push({ addresses, placed: this.#directory.podsByAddress.get(first.address), index });
        }
      }
    });
    return targets;
  }

  #addresses(text: string, where: SubjectPath): readonly PodAddress[] {
    const address = parseIpAddress(text);
    const read = parseSocketAddress(text) ?? (address === undefined ? undefined : { address });
    if (read !== undefined) {
      // What is wrong with a pod's address has been said of the pod.
      if (!this.#directory.podsByAddress.has(read.address)) this.#reader.judge(read.address, "endpoint", where);
      return [read];
    }
    const reason = `no host lists the endpoint ${quote(text)}`;
    this.#reader.error("UNKNOWN_ENDPOINT", where, reason, this.#hint(text));
    return [];
  }

  /** The endpoints of one port, each `address:port` once. */
  endpoints(targets: readonly Target[], port: TargetedPort): readonly Endpoint[] {
    const endpoints: Endpoint[] = [];
    // By address alone, because few addresses have another port.
    const seen = new Map<IpAddress, Port>();
    for (const target of targets) {
      let isUsable = false;
      for (const podAddress of target.addresses) {
        const { address } = podAddress;
        if (port.families !== undefined && !port.families.has(familyOf(address))) continue;
        isUsable = true;
        const targetPort = port.targetPort ?? podAddress.port;
        if (targetPort === undefined) {
          this.#reportNoPort(target, { address, port });
          continue;
        }
        if (podAddress.port !== targetPort) {
          this.#warnOverruled(target, { podAddress, port });
          this.#warnSwallowedPort(target, { podAddress, targetPort, port });
        }
        const before = seen.get(address);
        if (before === undefined) seen.set(address, targetPort);
        else if (
          before === targetPort ||
          endpoints.some((other) => other.address === address && other.port === targetPort)
        ) {
          this.#warnDuplicate(target, { address, targetPort, port });
          continue;
        }
        endpoints.push(this.#endpoint(address, targetPort, target.placed));
      }
      if (!isUsable) this.#reportFamily(target, port);
    }
    return keptList(endpoints);
  }

  #endpoint(address: IpAddress, port: Port, placed: PlacedPod | undefined): Endpoint {
    if (placed === undefined) {
      // On a host's own address it is on that host, whoever it is.
      const host = this.#directory.hostsByAddress.get(address);
      const runsOn = host === undefined ? {} : { host: host.name };
      return { address, port, ...runsOn, ready: true, serving: true, terminating: false, hints: NO_HINTS };
    }
    const { pod, host } = placed;
    const { ready, serving, terminating, hints } = pod;
    return { address, port, pod: pod.name, host: host.name, ready, serving, terminating, hints };
  }

  /** A port that an endpoint outside of all hosts has for itself, and the service sets aside. */
  #warnOverruled(
    { placed, index }: Target,
    { podAddress, port }: { podAddress: PodAddress; port: TargetedPort },
  ): void {
    if (placed !== undefined || podAddress.port === undefined) return;
    const own = formatSocketAddress({ address: podAddress.address, port: podAddress.port });
    const reason = `targetPort ${port.targetPort} is used instead of the port of ${own}`;
    this.#reader.warning("TARGET_PORT_DIFFERS", port.list.at(index), reason);
  }

  /** An IPv6 address that ends like the very port that it is without. */
  #warnSwallowedPort(
    { placed, addresses, index }: Target,
    { podAddress, targetPort, port }: { podAddress: PodAddress; targetPort: Port; port: TargetedPort },
  ): void {
    const meant = podAddress.port === undefined ? swallowedPort(podAddress.address) : undefined;
    if (meant === undefined) return;
    if (meant.port !== targetPort && !addresses.some((other) => other.port === meant.port)) return;
    const reason = `${podAddress.address} is read as an address without a port, although it ends in :${meant.port}`;
    const where = placed === undefined ? port.list.at(index) : whereOf(placed).at("address");
    this.#reader.warning("PORT_IN_ADDRESS", where, reason, portHint(meant));
  }

  #hint(text: string): string {
    if (/^[\d.:：,;[\]]+$/.test(text)) return explainAddress(text, "socket address");
    const near = this.#nameHints++ < MAX_NAME_HINTS ? nearestWord(text, this.#directory.podsByName.keys()) : undefined;
    if (near !== undefined) return `Did you mean ${quote(near)}?`;
    return "Name a pod of one of the hosts, or give ip:port for one that runs on none of them";
  }

  #reportNoPort({ placed, index }: Target, { address, port }: { address: IpAddress; port: TargetedPort }): void {
    if (port.isTargetPortBroken) return;
    const owner = placed === undefined ? "the endpoint" : `pod ${quote(placed.pod.name)}`;
    const named = port.number === undefined ? `item ${port.index + 1} of \`ports\`` : `port ${port.number}`;
    const reason = `${owner} has no port, and ${named} of the service has no \`targetPort\``;
    const meant = swallowedPort(address);
    const hint = "Give the service port a `targetPort`, or the pod's address a port";
    const more = meant === undefined ? "" : `. ${portHint(meant)}: ${address} is an address alone`;
    this.#reader.error("NO_TARGET_PORT", port.list.at(index), reason, `${hint}${more}`);
  }

  /** Once, at the first port: it is the same for all. */
  #warnDuplicate(
    { index }: Target,
    { address, targetPort, port }: { address: IpAddress; targetPort: Port; port: TargetedPort },
  ): void {
    if (port.index > 0) return;
    const endpoint = formatSocketAddress({ address, port: targetPort });
    this.#reader.warning(
      "DUPLICATE_ENDPOINT",
      port.list.at(index),
      `the endpoint ${endpoint} is listed twice; it counts once`,
    );
  }

  /** A service whose ClusterIPs could not be read, or a pod whose addresses could not, has been reported already. */
  #reportFamily({ addresses, index }: Target, { families, list, index: portIndex }: TargetedPort): void {
    const [first] = addresses;
    if (first === undefined || families === undefined || families.size === 0 || portIndex > 0) return;
    const reason = `the endpoint ${first.address} is IPv${familyOf(first.address)}, but its ClusterIP is not`;
    this.#reader.error(
      "MIXED_FAMILIES",
      list.at(index),
      reason,
      "Give the service a ClusterIP of that family, or the pod an address of this one",
    );
  }
}
