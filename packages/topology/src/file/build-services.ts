import { type Family, familyOf, type IpAddress, type Port, type Protocol } from "../address.ts";
import type { Service, ServicePort } from "../model.ts";
import { SubjectPath } from "../subject-path.ts";
import type { Found, ValueReader } from "../value-reader.ts";
import type { HostDirectory } from "./build-hosts.ts";
import { EndpointReader, type Target } from "./endpoint-reader.ts";
import { allOf, mapItems, type RawService, type RawServicePort } from "./raw-topology.ts";

/** A service with the way back to where its parts stand. */
export interface FoundService {
  readonly service: Service;
  readonly where: SubjectPath;
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
  const services = SubjectPath.root("the file").at("services");
  return mapItems(raw, (service, index) => builder.service(service, { services, index }));
}

/** What the ports of one service share. */
interface ServiceContext {
  readonly owner: SubjectPath;
  /** Undefined for a headless service: endpoints of any family are right. */
  readonly families: ReadonlySet<Family> | undefined;
  readonly targets: readonly Target[];
}

class ServicesBuilder {
  readonly #reader: ValueReader;
  readonly #endpoints: EndpointReader;

  constructor(reader: ValueReader, directory: HostDirectory) {
    this.#reader = reader;
    this.#endpoints = new EndpointReader(reader, directory);
  }

  service(raw: RawService, { services, index }: { services: SubjectPath; index: number }): FoundService {
    const name = raw.name ?? "";
    const owner = services.item(index, { kind: "service", name: raw.name });
    const isHeadless = raw.clusterIP === "None";
    const clusterIPs = isHeadless ? [] : this.#clusterIPs(raw, owner);
    const families = isHeadless ? undefined : new Set(clusterIPs.map(({ value }) => familyOf(value)));
    const externalIPs = this.#addresses(raw.externalIPs, { owner, key: "externalIPs", families });
    const loadBalancerIPs = this.#addresses(raw.loadBalancerIPs, { owner, key: "loadBalancerIPs", families });
    const list = owner.at("endpoints");
    const targets = this.#endpoints.targets(raw.endpoints ?? [], list);
    const context: ServiceContext = { owner, families, targets };
    const ports = mapItems(raw.ports, (port, index) => {
      const read = this.#port(port, { ...context, index });
      return read === undefined ? undefined : { index, port: read };
    });
    if (raw.ports?.length === 0 && !isHeadless) this.#reader.error("EMPTY_VALUE", owner.at("ports"), "it has no port");
    const servicePorts = ports.map(({ port }) => port);
    const isExternal =
      externalIPs.length > 0 ||
      loadBalancerIPs.length > 0 ||
      servicePorts.some(({ nodePort }) => nodePort !== undefined);
    if (raw.externalTrafficPolicy === "Local" && !isExternal) {
      const reason = "externalTrafficPolicy has no effect: it has no NodePort, external or load-balancer IP";
      this.#reader.warning("NO_EFFECT", owner.at("externalTrafficPolicy"), reason);
    }
    return {
      where: owner,
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
        loadBalancerSourceRanges: this.#sourceRanges(raw, { owner, loadBalancerIPs }),
        internalTrafficPolicy: raw.internalTrafficPolicy ?? "Cluster",
        externalTrafficPolicy: isExternal ? (raw.externalTrafficPolicy ?? "Cluster") : "Cluster",
        ...this.#affinity(raw, owner),
        ...this.#healthCheck(raw, { owner, isLoadBalanced: loadBalancerIPs.length > 0 }),
        ...(raw.proxyProtocol === undefined ? {} : { proxyProtocol: raw.proxyProtocol }),
        ports: servicePorts,
      },
    };
  }

  #clusterIPs(raw: RawService, owner: SubjectPath): readonly Found<IpAddress>[] {
    if (!("clusterIP" in raw || "clusterIPs" in raw)) {
      this.#reader.error(
        "MISSING_KEY",
        owner,
        "it has no `clusterIP`",
        "Give one, or `clusterIP: None` for a headless service",
      );
    }
    const found = allOf(this.#reader, raw, { single: "clusterIP", many: "clusterIPs", where: owner }).flatMap(
      ({ value, where }) => {
        const address = this.#reader.address(value, where);
        return address === undefined ? [] : [{ value: address, where }];
      },
    );
    return this.#reader.onePerFamily(found, (address) => address, "clusterIP");
  }

  /** Addresses of a family that the service has a ClusterIP of: without one, nothing would lead from them to its endpoints. */
  #addresses(
    texts: readonly (string | undefined)[] | undefined,
    { owner, key, families }: { owner: SubjectPath; key: string; families: ReadonlySet<Family> | undefined },
  ): readonly Found<IpAddress>[] {
    return mapItems(texts, (text, index) => {
      const where = owner.at(key).at(index);
      const address = this.#reader.address(text, where);
      if (address === undefined) return undefined;
      if (families !== undefined && families.size > 0 && !families.has(familyOf(address))) {
        this.#reader.error(
          "MIXED_FAMILIES",
          where,
          `${address} is IPv${familyOf(address)}, but its ClusterIP is not`,
          "For dual stack give a ClusterIP of each family: `clusterIPs: [v4, v6]`",
        );
        return undefined;
      }
      return { value: address, where };
    });
  }

  #port(raw: RawServicePort, context: ServiceContext & { readonly index: number }): ServicePort | undefined {
    const { owner, index } = context;
    const read = (key: "port" | "targetPort" | "nodePort"): Port | undefined => {
      const value = raw[key];
      return value === undefined ? undefined : this.#reader.port(value, owner.at("ports").at(index).at(key), key);
    };
    const [port, targetPort, nodePort] = [read("port"), read("targetPort"), read("nodePort")];
    if (nodePort !== undefined && nodePort < FIRST_UNPRIVILEGED_PORT) {
      this.#reader.warning(
        "LOW_NODE_PORT",
        owner.at("ports").at(index).at("nodePort"),
        `NodePort ${nodePort} is below ${FIRST_UNPRIVILEGED_PORT}, where the hosts' own programs listen, the SSH server on 22 for one`,
        "Use a port from 30000 to 32767, as Kubernetes does",
      );
    }
    const endpoints = this.#endpoints.endpoints(context.targets, {
      index,
      number: raw.port,
      list: owner.at("endpoints"),
      families: context.families,
      targetPort,
      isTargetPortBroken: raw.targetPort !== undefined && targetPort === undefined,
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

  #sourceRanges(
    raw: RawService,
    { owner, loadBalancerIPs }: { owner: SubjectPath; loadBalancerIPs: readonly Found<IpAddress>[] },
  ): Service["loadBalancerSourceRanges"] {
    const where = owner.at("loadBalancerSourceRanges");
    const listed = raw.loadBalancerSourceRanges ?? [];
    const ranges = mapItems(listed, (text, index) => this.#reader.cidr(text.trim(), where.at(index)));
    if (listed.length > 0 && loadBalancerIPs.length === 0) {
      this.#reader.warning(
        "NO_EFFECT",
        where,
        "loadBalancerSourceRanges guards only loadBalancerIPs, and there are none",
      );
    }
    const open = loadBalancerIPs.find(
      ({ value }) => !ranges.some((range) => familyOf(range.address) === familyOf(value)),
    );
    if (ranges.length > 0 && open !== undefined) {
      const family = familyOf(open.value);
      const reason = `no source range is IPv${family}, so everyone may use ${open.value}`;
      this.#reader.warning("OPEN_FAMILY", where, reason, `Add IPv${family} ranges`);
    }
    return ranges;
  }

  #affinity(raw: RawService, owner: SubjectPath): Pick<Service, "sessionAffinity"> {
    const { sessionAffinityTimeoutSeconds: seconds } = raw;
    const where = owner.at("sessionAffinityTimeoutSeconds");
    const limits = { key: "sessionAffinityTimeoutSeconds", from: 1, to: 86400 };
    const timeoutSeconds = seconds === undefined ? undefined : this.#reader.number(seconds, where, limits);
    if (raw.sessionAffinity === "ClientIP") {
      return { sessionAffinity: { timeoutSeconds: timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS } };
    }
    if (seconds !== undefined) {
      this.#reader.warning("NO_EFFECT", where, "the timeout counts only with `sessionAffinity: ClientIP`");
    }
    return {};
  }

  #healthCheck(
    raw: RawService,
    { owner, isLoadBalanced }: { owner: SubjectPath; isLoadBalanced: boolean },
  ): Pick<Service, "healthCheckNodePort"> {
    if (raw.healthCheckNodePort === undefined) return {};
    const where = owner.at("healthCheckNodePort");
    const healthCheckNodePort = this.#reader.port(raw.healthCheckNodePort, where, "healthCheckNodePort");
    if (healthCheckNodePort === undefined) return {};
    if (isLoadBalanced && raw.externalTrafficPolicy === "Local") return { healthCheckNodePort };
    const reason = "healthCheckNodePort counts only with loadBalancerIPs and `externalTrafficPolicy: Local`";
    this.#reader.warning("NO_EFFECT", where, reason);
    return {};
  }
}

/** Kubernetes' default: three hours. */
export const DEFAULT_AFFINITY_SECONDS = 10800;

/** Below it only root may listen. */
const FIRST_UNPRIVILEGED_PORT = 1024;

const PROTOCOLS: Readonly<Record<"TCP" | "UDP" | "SCTP", Protocol>> = { TCP: "tcp", UDP: "udp", SCTP: "sctp" };
