import { addressBits, addressFromBits, familyOf, type IpAddress } from "@svcproxy/topology";
import type { NumberRange } from "../../match.ts";
import type { ConnectionView, PacketView } from "../packet/packet-view.ts";

/** What a NAT target maps one end of a connection to; what is absent stays. */
export interface Translation {
  readonly address?: IpAddress;
  readonly ports?: NumberRange;
  /** `--random` or `--random-fully`: the port is drawn anew even where it could stay. */
  readonly drawsPort: boolean;
}

/** The packet with its destination mapped, as it is from here on and as its connection remembers it. */
export function translateDestination(packet: PacketView, translation: Translation): PacketView {
  const destination = translation.address ?? packet.destination;
  const destinationPorts = intoRange(packet.destinationPorts, translation);
  return {
    ...packet,
    destination,
    ...(destinationPorts === undefined ? {} : { destinationPorts }),
    ...withConnection(packet.connection, (connection) => ({
      ...connection,
      reply: {
        ...connection.reply,
        source: destination,
        ...(destinationPorts === undefined ? {} : { sourcePorts: destinationPorts }),
      },
      destinationTranslated:
        destination !== packet.destination || !samePorts(destinationPorts, packet.destinationPorts),
    })),
  };
}

/** The packet with its source mapped; a port stays where nothing speaks against it. */
export function translateSource(packet: PacketView, translation: Translation): PacketView {
  const source = translation.address ?? packet.source;
  const sourcePorts =
    translation.ports === undefined && translation.drawsPort
      ? sameClass(packet.sourcePorts)
      : intoRange(packet.sourcePorts, translation);
  return {
    ...packet,
    source,
    ...(sourcePorts === undefined ? {} : { sourcePorts }),
    ...withConnection(packet.connection, (connection) => ({
      ...connection,
      reply: {
        ...connection.reply,
        destination: source,
        ...(sourcePorts === undefined ? {} : { destinationPorts: sourcePorts }),
      },
      sourceTranslated: source !== packet.source || !samePorts(sourcePorts, packet.sourcePorts),
    })),
  };
}

function withConnection(
  connection: ConnectionView | undefined,
  change: (connection: ConnectionView) => ConnectionView,
): { connection?: ConnectionView } {
  return connection === undefined ? {} : { connection: change(connection) };
}

function samePorts(a: NumberRange | undefined, b: NumberRange | undefined): boolean {
  return a === b || (a?.from === b?.from && a?.to === b?.to);
}

function intoRange(ports: NumberRange | undefined, { ports: wanted, drawsPort }: Translation): NumberRange | undefined {
  if (ports === undefined || wanted === undefined) return ports;
  const fits = ports.from >= wanted.from && ports.to <= wanted.to;
  return fits && !drawsPort ? ports : wanted;
}

/**
 * Where no range is given the kernel draws a source port within the port's class; a destination port it leaves alone then.
 *
 * @see linux nf_nat_l4proto_unique_tuple
 */
function sameClass(ports: NumberRange | undefined): NumberRange | undefined {
  if (ports === undefined) return undefined;
  if (ports.from >= 1024) return { from: 1024, to: 65535 };
  return ports.from > 600 ? { from: 600, to: 1023 } : { from: 1, to: 511 };
}

/** The addresses of a range, where they are few enough to look at each. */
export function addressesOf(
  { from, to }: { readonly from: IpAddress; readonly to: IpAddress },
  limit: number,
): readonly IpAddress[] | undefined {
  const first = addressBits(from);
  const count = addressBits(to) - first + 1n;
  if (count < 1n || count > BigInt(limit)) return undefined;
  return Array.from({ length: Number(count) }, (_, index) => addressFromBits(familyOf(from), first + BigInt(index)));
}
