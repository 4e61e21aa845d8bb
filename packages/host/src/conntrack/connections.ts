import type { HostPlan, Protocol, ServicePortPlan } from "@svcproxy/topology";
import { serviceName } from "../data-path/service-port-statuses.ts";

/** A connection of a client by a service; what one client exchanges over UDP counts as one. */
export interface Connection {
  /** `namespace/name`. */
  readonly service: string;
  /** Empty where it has none. */
  readonly portName: string;
  readonly protocol: Protocol;
  /** `ip:port`, as the others here. */
  readonly client: string;
  /** What the client dialled: a VIP, or a NodePort. */
  readonly vip: string;
  /** Who answers it; absent: nobody was chosen for it. */
  readonly endpoint?: string;
  /** As the kernel or the proxy calls it: `established`, `syn-sent`, `unanswered`, `dialling`. */
  readonly state: string;
  /** Absent where nobody noted when it began. */
  readonly ageSeconds?: number;
  /** Absent where nobody counts them. */
  readonly bytesFromClient?: number;
  readonly bytesToClient?: number;
}

export interface Connections {
  /** At most as many as were asked for. */
  readonly connections: readonly Connection[];
  /** How many there are. */
  readonly total: number;
  /** What this machine does not know of some of them. */
  readonly unknown: readonly UnknownFact[];
}

export interface UnknownFact {
  readonly fact: "age" | "bytes";
  /** Why, and what makes it known from then on: a sentence. */
  readonly because: string;
}

/** Who asks for connections, and for how many. */
export interface ConnectionQuestion {
  /** `NAME`, of whichever namespace, or `NAMESPACE/NAME`. */
  readonly service: string;
  /** At least 1. */
  readonly limit: number;
}

/** Whether `namespace/name` is meant by `NAME` or `NAMESPACE/NAME`. */
export function isNamed(service: string, name: string): boolean {
  return name.includes("/") ? service === name : service.endsWith(`/${name}`);
}

/** The ports of the services that are meant; none: there is no such service. */
export function portsNamed({ ports }: Pick<HostPlan, "ports">, name: string): readonly ServicePortPlan[] {
  return ports.filter((port) => isNamed(serviceName(port), name));
}

/** Whether what an agent or a proxy answered is what this version understands. */
export function isConnections(value: unknown): value is Connections {
  if (typeof value !== "object" || value === null) return false;
  return (
    "connections" in value &&
    Array.isArray(value.connections) &&
    "total" in value &&
    typeof value.total === "number" &&
    "unknown" in value &&
    Array.isArray(value.unknown)
  );
}
