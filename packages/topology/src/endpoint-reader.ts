import type { Family, IpAddress, Port } from "./address.ts";
import { familyOf, formatSocketAddress, parseIpAddress, parseSocketAddress } from "./address.ts";
import type { HostDirectory, PlacedPod } from "./build-hosts.ts";
import { NO_HINTS } from "./build-hosts.ts";
import { explainAddress } from "./explain-address.ts";
import type { Endpoint, PodAddress } from "./model.ts";
import { nearestWord } from "./nearest-word.ts";
import type { Spot } from "./spot.ts";
import type { ValueReader } from "./value-reader.ts";

/** An endpoint as a service lists it: its port may depend on the service's port. */
export interface Target {
  readonly addresses: readonly PodAddress[];
  readonly placed: PlacedPod | undefined;
  readonly spot: Spot;
}

/** The service port for which targets become endpoints. */
export interface TargetedPort {
  /** 0-based place in the list as written. */
  readonly index: number;
  /** Undefined for a headless service: endpoints of any family are right. */
  readonly families: ReadonlySet<Family> | undefined;
  readonly targetPort: Port | undefined;
  /** Set where there is a `targetPort` that could not be read, so that its lack is no second fault. */
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

  /** A pod's name, or an address with or without a port. */
  target(text: string, spot: Spot): Target | undefined {
    const named = this.#directory.podsByName.get(text);
    if (named !== undefined) return { addresses: named.pod.addresses, placed: named, spot };
    const socket = parseSocketAddress(text);
    const address = socket?.address ?? parseIpAddress(text);
    if (address !== undefined) {
      return { addresses: [socket ?? { address }], placed: this.#directory.podsByAddress.get(address), spot };
    }
    const reason = `no host lists the endpoint ${JSON.stringify(text)}`;
    this.#reader.error("UNKNOWN_ENDPOINT", spot, reason, this.#hint(text));
    return undefined;
  }

  /** The endpoints of one port, each `address:port` once. */
  endpoints(targets: readonly Target[], port: TargetedPort): readonly Endpoint[] {
    const endpoints: Endpoint[] = [];
    const seen = new Set<string>();
    for (const target of targets) {
      let isUsable = false;
      for (const { address, port: ownPort } of target.addresses) {
        if (port.families !== undefined && !port.families.has(familyOf(address))) continue;
        isUsable = true;
        const targetPort = this.#targetPort({ address, ownPort }, { target, port });
        if (targetPort === undefined) continue;
        const key = `${address} ${targetPort}`;
        if (seen.has(key)) this.#warnDuplicate(target, { address, targetPort, port });
        else {
          seen.add(key);
          endpoints.push(endpointOf(address, targetPort, target.placed));
        }
      }
      if (!isUsable) this.#reportFamily(target, port);
    }
    return endpoints;
  }

  #targetPort(
    { address, ownPort }: { address: IpAddress; ownPort: Port | undefined },
    { target: { placed, spot }, port }: { target: Target; port: TargetedPort },
  ): Port | undefined {
    if (port.targetPort === undefined) {
      if (ownPort === undefined && !port.isTargetPortBroken) this.#reportNoPort(spot, { placed, index: port.index });
      return ownPort;
    }
    if (placed === undefined && ownPort !== undefined && ownPort !== port.targetPort) {
      const own = formatSocketAddress({ address, port: ownPort });
      const reason = `targetPort ${port.targetPort} is used instead of the port of ${own}`;
      this.#reader.warning("TARGET_PORT_DIFFERS", spot, reason);
    }
    return port.targetPort;
  }

  #hint(text: string): string {
    if (/^[\d.:：,;[\]]+$/.test(text)) return explainAddress(text, "socket address");
    const near = this.#nameHints++ < MAX_NAME_HINTS ? nearestWord(text, this.#directory.podsByName.keys()) : undefined;
    if (near !== undefined) return `Did you mean ${JSON.stringify(near)}?`;
    return "Name a pod of one of the hosts, or give ip:port for one that runs on none of them";
  }

  #reportNoPort(spot: Spot, { placed, index }: { placed: PlacedPod | undefined; index: number }): void {
    const owner = placed === undefined ? "the endpoint" : `pod ${JSON.stringify(placed.pod.name)}`;
    const reason = `${owner} has no port, and port ${index + 1} of the service has no \`targetPort\``;
    const hint = "Give the service port a `targetPort`, or the pod's address a port";
    this.#reader.error("NO_TARGET_PORT", spot, reason, hint);
  }

  /** Once, at the first port: it is the same for all. */
  #warnDuplicate(
    { spot }: Target,
    { address, targetPort, port }: { address: IpAddress; targetPort: Port; port: TargetedPort },
  ): void {
    if (port.index > 0) return;
    const endpoint = formatSocketAddress({ address, port: targetPort });
    this.#reader.warning("DUPLICATE_ENDPOINT", spot, `the endpoint ${endpoint} is listed twice; it counts once`);
  }

  /** A service whose ClusterIPs could not be read, or a pod whose addresses could not, has been reported already. */
  #reportFamily({ addresses, spot }: Target, { families, index }: TargetedPort): void {
    const [first] = addresses;
    if (first === undefined || families === undefined || families.size === 0 || index > 0) return;
    const reason = `the endpoint ${first.address} is IPv${familyOf(first.address)}, but its ClusterIP is not`;
    this.#reader.error(
      "MIXED_FAMILIES",
      spot,
      reason,
      "Give the service a ClusterIP of that family, or the pod an address of this one",
    );
  }
}

function endpointOf(address: IpAddress, port: Port, placed: PlacedPod | undefined): Endpoint {
  if (placed === undefined) {
    return { address, port, ready: true, serving: true, terminating: false, hints: NO_HINTS };
  }
  const { pod, host } = placed;
  const { ready, serving, terminating, hints } = pod;
  return { address, port, pod: pod.name, host: host.name, ready, serving, terminating, hints };
}
