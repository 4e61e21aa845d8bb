import { type FrontendCount, serviceName } from "@svcproxy/host";
import type { HostPlan, Protocol } from "@svcproxy/topology";
import type { CounterReading, ServiceLabels } from "./service-sums.ts";

/** Finds whose frontends the counters of rules belong to. */
export class FrontendIndex {
  readonly #labels = new Map<string, ServiceLabels>();

  constructor({ ports }: Pick<HostPlan, "ports">) {
    for (const port of ports) {
      const { protocol, name: portName } = port.port;
      const labels = { service: serviceName(port), portName, protocol };
      for (const { kind, addresses, port: number } of port.frontends) {
        const all = kind === "nodePort" ? [undefined] : addresses;
        for (const address of all)
          this.#labels.set(keyOf({ family: port.family, protocol, address, port: number }), labels);
      }
    }
  }

  /** @returns undefined where the plan has no such frontend */
  readingOf(count: FrontendCount): CounterReading | undefined {
    const key = keyOf(count);
    const service = this.#labels.get(key);
    if (service === undefined) return undefined;
    const { connections, bytesFromClients, bytesToClients } = count;
    return { key, service, connections, bytesFromClients, bytesToClients };
  }
}

function keyOf({
  family,
  protocol,
  address,
  port,
}: {
  readonly family: number;
  readonly protocol: Protocol;
  readonly address: string | undefined;
  readonly port: number;
}): string {
  return `${family} ${protocol} ${address ?? "*"} ${port}`;
}
