import { addressFromBits, type IpAddress } from "@svcproxy/topology";

/** One packet that a netfilter log showed. */
export interface Observation {
  /** The `prefix` of the rule that logged it. */
  readonly prefix: string;
  readonly mark: number;
  readonly inIndex: number;
  readonly outIndex: number;
  readonly packet: SeenPacket;
}

export interface SeenPacket {
  readonly kind: "probe" | "error" | "other";
  /** The number that the probe carried; of an error the one of the probe that it answers. */
  readonly id: number;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

const ATTRIBUTE = { mark: 2, inIndex: 4, outIndex: 5, payload: 9, prefix: 10 } as const;

/** Reads one record of a `tcpdump -i nflog:N -w -` capture. @returns undefined for what is not a packet of ours */
export function readObservation(record: Buffer): Observation | undefined {
  const attributes = new Map<number, Buffer>();
  for (let at = 4; at + 4 <= record.length; ) {
    const length = record.readUInt16LE(at);
    if (length < 4) break;
    attributes.set(record.readUInt16LE(at + 2), record.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  const payload = attributes.get(ATTRIBUTE.payload);
  const packet = payload === undefined ? undefined : readSeenPacket(payload);
  if (packet === undefined) return undefined;
  const number = (type: number) => {
    const bytes = attributes.get(type);
    return bytes !== undefined && bytes.length >= 4 ? bytes.readUInt32BE(0) : 0;
  };
  return {
    prefix: attributes.get(ATTRIBUTE.prefix)?.toString("latin1").replace(/\0.*$/, "") ?? "",
    mark: number(ATTRIBUTE.mark),
    inIndex: number(ATTRIBUTE.inIndex),
    outIndex: number(ATTRIBUTE.outIndex),
    packet,
  };
}

function readSeenPacket(bytes: Buffer): SeenPacket | undefined {
  const version = (bytes[0] ?? 0) >> 4;
  if (version === 4 && bytes.length >= 28) {
    const body = bytes.subarray(((bytes[0] ?? 0) & 15) * 4);
    return readBody(body, {
      protocol: bytes[9] ?? 0,
      source: address(4, bytes, 12),
      destination: address(4, bytes, 16),
    });
  }
  if (version === 6 && bytes.length >= 48) {
    return readBody(bytes.subarray(40), {
      protocol: bytes[6] ?? 0,
      source: address(6, bytes, 8),
      destination: address(6, bytes, 24),
    });
  }
  return undefined;
}

function address(family: 4 | 6, bytes: Buffer, at: number): IpAddress {
  const hex = bytes.subarray(at, at + (family === 4 ? 4 : 16)).toString("hex");
  return addressFromBits(family, BigInt(`0x${hex}`));
}

interface Ends {
  readonly protocol: number;
  readonly source: IpAddress;
  readonly destination: IpAddress;
}

function readBody(body: Buffer, { protocol, source, destination }: Ends): SeenPacket | undefined {
  const ported = () => ({
    source,
    destination,
    sourcePort: body.readUInt16BE(0),
    destinationPort: body.readUInt16BE(2),
  });
  const bare = { source, destination, sourcePort: 0, destinationPort: 0 };
  switch (protocol) {
    case 6: {
      if (body.length < 20) return { kind: "other", id: body.readUInt32BE(4), ...ported() };
      const flags = body[13] ?? 0;
      // A reset acknowledges the SYN: one more than the number that it carried.
      if ((flags & 4) !== 0) return { kind: "error", id: (body.readUInt32BE(8) - 1) >>> 0, ...ported() };
      return { kind: flags === 2 ? "probe" : "other", id: body.readUInt32BE(4), ...ported() };
    }
    case 17:
      return body.length < 12 ? undefined : { kind: "probe", id: body.readUInt32BE(8), ...ported() };
    case 132:
      if (body.length < 20) return undefined;
      return { kind: body[12] === 1 ? "probe" : "other", id: body.readUInt32BE(16), ...ported() };
    case 1:
    case 58:
      return readIcmp(body, { protocol, bare });
    default:
      return undefined;
  }
}

function readIcmp(
  body: Buffer,
  { protocol, bare }: { protocol: number; bare: Omit<SeenPacket, "kind" | "id"> },
): SeenPacket | undefined {
  const type = body[0];
  if (body.length < 12) return undefined;
  if (type === (protocol === 1 ? 8 : 128)) return { kind: "probe", id: body.readUInt32BE(8), ...bare };
  if (type !== (protocol === 1 ? 3 : 1)) return { kind: "other", id: body.readUInt32BE(8), ...bare };
  const inner = readSeenPacket(body.subarray(8));
  return inner === undefined ? undefined : { kind: "error", id: inner.id, ...bare };
}
