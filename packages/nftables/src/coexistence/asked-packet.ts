import type { Family, HostPlan, IpAddress, Protocol } from "@svcproxy/topology";

/** The first packet of a connection, as far as other programs' rules are asked about it. */
export interface AskedPacket {
  readonly family: Family;
  /** Undefined: some address of the host. */
  readonly address: IpAddress | undefined;
  readonly protocol: Protocol;
  readonly port: number;
  /** Whether it goes to an endpoint by now. */
  readonly isTranslated: boolean;
  /** For people: `10.0.0.1:80`. */
  readonly text: string;
}

/** So many packets are asked about: rules that concern services concern more than one of so many. */
const MAX_PACKETS = 256;

/** Packets to the frontends of a plan, or some of them. */
export function frontendPackets({ ports }: HostPlan, family: Family): readonly AskedPacket[] {
  const packets = ports.flatMap((port) =>
    port.family !== family
      ? []
      : port.frontends.flatMap((frontend): AskedPacket[] => {
          const rest = { family, protocol: port.port.protocol, port: frontend.port, isTranslated: false };
          if (frontend.kind === "nodePort") return [{ ...rest, address: undefined, text: `NodePort ${frontend.port}` }];
          return frontend.addresses.map((address) => ({ ...rest, address, text: `${address} port ${frontend.port}` }));
        }),
  );
  return some(packets);
}

/** Packets to endpoints that this host forwards, or some of them. */
export function endpointPackets({ ports, host }: HostPlan, family: Family): readonly AskedPacket[] {
  const packets = ports.flatMap((port) =>
    port.family !== family
      ? []
      : port.reachableEndpoints
          .filter(({ address }) => !host.addresses.includes(address))
          .map(
            (endpoint): AskedPacket => ({
              ...{ family, address: endpoint.address, protocol: port.port.protocol, port: endpoint.port },
              ...{ isTranslated: true, text: `${endpoint.address} port ${endpoint.port}` },
            }),
          ),
  );
  return some(packets);
}

/** At most so many, evenly out of all. */
function some<T>(all: readonly T[]): readonly T[] {
  const step = Math.max(1, Math.ceil(all.length / MAX_PACKETS));
  return all.filter((_, index) => index % step === 0);
}

export const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };
