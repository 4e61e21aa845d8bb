import type { Family, IpAddress, Port, Protocol } from "./address.ts";
import { familyOf, formatSocketAddress, parseIpAddress, parseSocketAddress } from "./address.ts";
import type { HostDirectory, PlacedPod } from "./build-hosts.ts";
import { NO_HINTS } from "./build-hosts.ts";
import { explainAddress } from "./explain-address.ts";
import type { Path } from "./fault-report.ts";
import type { Endpoint, PodAddress, Service, ServicePort } from "./model.ts";
import { nearestWord } from "./nearest-word.ts";
import type { RawService, RawServicePort } from "./raw-topology.ts";
import { allOf, entriesOf } from "./raw-topology.ts";
import type { Found, Spot, ValueReader } from "./value-reader.ts";

/** A service with the way back to where its parts stand. */
export interface FoundService {
  readonly service: Service;
  readonly at: (...rest: Path) => Spot;
  /** Every VIP with its place. */
  readonly vips: readonly (Found<IpAddress> & { readonly kind: "clusterIP" | "externalIP" | "loadBalancerIP" })[];
  /** Where each of `service.ports` stands in the list as written. */
  readonly portIndexes: readonly number[];
}

/** Reads the services of a topology file. */
export function buildServices(
  raw: readonly (RawService | undefined)[] | undefined,
  { reader, directory }: { reader: ValueReader; directory: HostDirectory },
): readonly FoundService[] {
  const builder = new ServicesBuilder(reader, directory);
  return entriesOf(raw).map(([index, service]) => builder.service(service, ["services", index]));
}

/** What the ports of one service share. */
interface ServiceContext {
  readonly at: (...rest: Path) => Spot;
  /** Undefined for a headless service: endpoints of any family are right. */
  readonly families: ReadonlySet<Family> | undefined;
  readonly targets: readonly Target[];
}

/** A listed endpoint before its port is known. */
interface Target {
  readonly addresses: readonly PodAddress[];
  readonly placed?: PlacedPod;
  readonly spot: Spot;
}

/** So many misspelt endpoints are compared with every pod's name; the rest go without a hint. */
const MAX_NAME_HINTS = 20;

class ServicesBuilder {
  readonly #reader: ValueReader;
  readonly #directory: HostDirectory;
  #nameHints = 0;

  constructor(reader: ValueReader, directory: HostDirectory) {
    this.#reader = reader;
    this.#directory = directory;
  }

  service(raw: RawService, path: Path): FoundService {
    const name = raw.name ?? "";
    const at =
      (...rest: Path): Spot =>
      () => ({ subject: `service ${JSON.stringify(name)}`, path: [...path, ...rest] });
    const isHeadless = raw.clusterIP === "None";
    const clusterIPs = isHeadless ? [] : this.#clusterIPs(raw, at);
    const families = isHeadless ? undefined : new Set(clusterIPs.map(({ value }) => familyOf(value)));
    const externalIPs = this.#addresses(raw.externalIPs, { at, key: "externalIPs", families });
    const loadBalancerIPs = this.#addresses(raw.loadBalancerIPs, { at, key: "loadBalancerIPs", families });
    const targets = entriesOf(raw.endpoints).flatMap(
      ([index, text]) => this.#target(text, at("endpoints", index)) ?? [],
    );
    const context: ServiceContext = { at, families, targets };
    const ports = entriesOf(raw.ports).flatMap(([index, port]) => {
      const read = this.#port(port, { ...context, index });
      return read === undefined ? [] : [{ index, port: read }];
    });
    if (raw.ports?.length === 0 && !isHeadless) this.#reader.error("EMPTY_VALUE", at("ports"), "it has no port");
    const servicePorts = ports.map(({ port }) => port);
    const isExternal =
      externalIPs.length > 0 ||
      loadBalancerIPs.length > 0 ||
      servicePorts.some(({ nodePort }) => nodePort !== undefined);
    return {
      at,
      portIndexes: ports.map(({ index }) => index),
      vips: [
        ...clusterIPs.map((found) => ({ ...found, kind: "clusterIP" as const })),
        ...externalIPs.map((found) => ({ ...found, kind: "externalIP" as const })),
        ...loadBalancerIPs.map((found) => ({ ...found, kind: "loadBalancerIP" as const })),
      ],
      service: {
        namespace: raw.namespace ?? "default",
        name,
        ...(raw.id === undefined ? {} : { id: raw.id }),
        clusterIPs: clusterIPs.map(({ value }) => value),
        externalIPs: externalIPs.map(({ value }) => value),
        loadBalancerIPs: loadBalancerIPs.map(({ value }) => value),
        loadBalancerSourceRanges: this.#sourceRanges(raw, { at, loadBalancerIPs }),
        internalTrafficPolicy: raw.internalTrafficPolicy ?? "Cluster",
        externalTrafficPolicy: isExternal ? (raw.externalTrafficPolicy ?? "Cluster") : "Cluster",
        ...this.#affinity(raw, at),
        ...this.#healthCheck(raw, { at, isLoadBalanced: loadBalancerIPs.length > 0 }),
        ...(raw.proxyProtocol === undefined ? {} : { proxyProtocol: raw.proxyProtocol }),
        ports: servicePorts,
      },
    };
  }

  #clusterIPs(raw: RawService, at: ServiceContext["at"]): readonly Found<IpAddress>[] {
    if (!("clusterIP" in raw || "clusterIPs" in raw)) {
      this.#reader.error(
        "MISSING_KEY",
        at(),
        "it has no `clusterIP`",
        "Give one, or `clusterIP: None` for a headless service",
      );
    }
    const found = allOf(this.#reader, raw, { single: "clusterIP", many: "clusterIPs", at }).flatMap(
      ({ value, spot }) => {
        const address = this.#reader.address(value, spot);
        return address === undefined ? [] : [{ value: address, spot }];
      },
    );
    const kept = new Set(this.#reader.onePerFamily(found, (address) => address, "clusterIP"));
    return found.filter(({ value }) => kept.delete(value));
  }

  /** Addresses of a family that the service has a ClusterIP of: without one, nothing would lead from them to its endpoints. */
  #addresses(
    texts: readonly (string | undefined)[] | undefined,
    { at, key, families }: { at: ServiceContext["at"]; key: string; families: ReadonlySet<Family> | undefined },
  ): readonly Found<IpAddress>[] {
    return entriesOf(texts).flatMap(([index, text]) => {
      const spot = at(key, index);
      const address = this.#reader.address(text, spot);
      if (address === undefined) return [];
      if (families !== undefined && families.size > 0 && !families.has(familyOf(address))) {
        this.#reader.error(
          "MIXED_FAMILIES",
          spot,
          `${address} is IPv${familyOf(address)}, but its ClusterIP is not`,
          "For dual stack give a ClusterIP of each family: `clusterIPs: [v4, v6]`",
        );
        return [];
      }
      return [{ value: address, spot }];
    });
  }

  #target(text: string, spot: Spot): Target | undefined {
    const named = this.#directory.podsByName.get(text);
    if (named !== undefined) return { addresses: named.pod.addresses, placed: named, spot };
    const socket = parseSocketAddress(text);
    const address = socket?.address ?? parseIpAddress(text);
    if (address !== undefined) {
      const placed = this.#directory.podsByAddress.get(address);
      return { addresses: [socket ?? { address }], ...(placed === undefined ? {} : { placed }), spot };
    }
    this.#reader.error(
      "UNKNOWN_ENDPOINT",
      spot,
      `no host lists the endpoint ${JSON.stringify(text)}`,
      this.#endpointHint(text),
    );
    return undefined;
  }

  #endpointHint(text: string): string {
    if (/^[\d.:：[\]]+$/.test(text)) return explainAddress(text, "socket address");
    const near = this.#nameHints++ < MAX_NAME_HINTS ? nearestWord(text, this.#directory.podsByName.keys()) : undefined;
    if (near !== undefined) return `Did you mean ${JSON.stringify(near)}?`;
    return "Name a pod of one of the hosts, or give ip:port for one that runs on none of them";
  }

  #port(raw: RawServicePort, context: ServiceContext & { readonly index: number }): ServicePort | undefined {
    const { at, index } = context;
    const read = (key: "port" | "targetPort" | "nodePort"): Port | undefined => {
      const value = raw[key];
      return value === undefined ? undefined : this.#reader.port(value, at("ports", index, key), key);
    };
    const [port, targetPort, nodePort] = [read("port"), read("targetPort"), read("nodePort")];
    const endpoints = this.#endpoints(context, {
      targetPort,
      isTargetKnown: raw.targetPort === undefined || targetPort !== undefined,
    });
    if (port === undefined) return undefined;
    return {
      name: raw.name ?? "",
      protocol: PROTOCOLS[raw.protocol ?? "TCP"],
      port,
      ...(nodePort === undefined ? {} : { nodePort }),
      endpoints,
    };
  }

  #endpoints(
    { at, index, families, targets }: ServiceContext & { readonly index: number },
    { targetPort, isTargetKnown }: { targetPort: Port | undefined; isTargetKnown: boolean },
  ): readonly Endpoint[] {
    const endpoints = new Map<string, Endpoint>();
    for (const { addresses, placed, spot } of targets) {
      const usable = addresses.filter(({ address }) => families === undefined || families.has(familyOf(address)));
      if (usable.length === 0 && addresses.length > 0 && families !== undefined && families.size > 0 && index === 0) {
        this.#reader.error("MIXED_FAMILIES", spot, `${addresses[0]?.address} has not the family of its ClusterIP`);
      }
      for (const { address, port: ownPort } of usable) {
        const port = targetPort ?? ownPort;
        if (port === undefined) {
          if (isTargetKnown) this.#noTargetPort(spot, placed, at("ports", index));
          continue;
        }
        if (placed === undefined && ownPort !== undefined && ownPort !== port) {
          this.#reader.warning(
            "TARGET_PORT_DIFFERS",
            spot,
            `targetPort ${port} is used, not the port of ${address}:${ownPort}`,
          );
        }
        const key = formatSocketAddress({ address, port });
        if (!endpoints.has(key)) endpoints.set(key, endpointOf({ address, port, placed }));
        else if (index === 0)
          this.#reader.warning("DUPLICATE_ENDPOINT", spot, `the endpoint ${key} is listed twice; it counts once`);
      }
    }
    return [...endpoints.values()];
  }

  #noTargetPort(spot: Spot, placed: PlacedPod | undefined, portSpot: Spot): void {
    const pod = placed === undefined ? "the endpoint" : `pod ${JSON.stringify(placed.pod.name)}`;
    const port = Number(portSpot().path.at(-1)) + 1;
    this.#reader.error(
      "NO_TARGET_PORT",
      spot,
      `${pod} has no port, and port ${port} of the service has no \`targetPort\``,
      "Give the service port a `targetPort`, or the pod's address a port",
    );
  }

  #sourceRanges(
    raw: RawService,
    { at, loadBalancerIPs }: { at: ServiceContext["at"]; loadBalancerIPs: readonly Found<IpAddress>[] },
  ): Service["loadBalancerSourceRanges"] {
    const spot = at("loadBalancerSourceRanges");
    const listed = entriesOf(raw.loadBalancerSourceRanges);
    const ranges = listed.flatMap(
      ([index, text]) => this.#reader.cidr(text.trim(), at("loadBalancerSourceRanges", index)) ?? [],
    );
    if (listed.length > 0 && loadBalancerIPs.length === 0) {
      this.#reader.warning(
        "NO_EFFECT",
        spot,
        "loadBalancerSourceRanges guards only loadBalancerIPs, and there are none",
      );
    }
    const open = loadBalancerIPs.find(
      ({ value }) => !ranges.some((range) => familyOf(range.address) === familyOf(value)),
    );
    if (ranges.length > 0 && open !== undefined) {
      const family = familyOf(open.value);
      const reason = `no source range is IPv${family}, so everyone may use ${open.value}`;
      this.#reader.warning("OPEN_FAMILY", spot, reason, `Add IPv${family} ranges`);
    }
    return ranges;
  }

  #affinity(raw: RawService, at: ServiceContext["at"]): Pick<Service, "sessionAffinity"> {
    const { sessionAffinityTimeoutSeconds: seconds } = raw;
    const spot = at("sessionAffinityTimeoutSeconds");
    const limits = { key: "sessionAffinityTimeoutSeconds", from: 1, to: 86400 };
    const timeoutSeconds = seconds === undefined ? undefined : this.#reader.number(seconds, spot, limits);
    if (raw.sessionAffinity === "ClientIP") {
      return { sessionAffinity: { timeoutSeconds: timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS } };
    }
    if (seconds !== undefined) {
      this.#reader.warning("NO_EFFECT", spot, "the timeout counts only with `sessionAffinity: ClientIP`");
    }
    return {};
  }

  #healthCheck(
    raw: RawService,
    { at, isLoadBalanced }: { at: ServiceContext["at"]; isLoadBalanced: boolean },
  ): Pick<Service, "healthCheckNodePort"> {
    if (raw.healthCheckNodePort === undefined) return {};
    const spot = at("healthCheckNodePort");
    const healthCheckNodePort = this.#reader.port(raw.healthCheckNodePort, spot, "healthCheckNodePort");
    if (healthCheckNodePort === undefined) return {};
    if (isLoadBalanced && raw.externalTrafficPolicy === "Local") return { healthCheckNodePort };
    const reason = "healthCheckNodePort counts only with loadBalancerIPs and `externalTrafficPolicy: Local`";
    this.#reader.warning("NO_EFFECT", spot, reason);
    return {};
  }
}

/** Kubernetes' default: three hours. */
export const DEFAULT_AFFINITY_SECONDS = 10800;

const PROTOCOLS: Readonly<Record<"TCP" | "UDP" | "SCTP", Protocol>> = { TCP: "tcp", UDP: "udp", SCTP: "sctp" };

function endpointOf({
  address,
  port,
  placed,
}: {
  address: IpAddress;
  port: Port;
  placed: PlacedPod | undefined;
}): Endpoint {
  if (placed === undefined) {
    return { address, port, ready: true, serving: true, terminating: false, hints: NO_HINTS };
  }
  const { pod, host } = placed;
  const { ready, serving, terminating, hints } = pod;
  return { address, port, pod: pod.name, host: host.name, ready, serving, terminating, hints };
}
