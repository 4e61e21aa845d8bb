import { addressBits, addressWidth, familyOf, type IpAddress } from "@svcproxy/topology";

/** A packet to put on a wire, with a number that comes out with it at the other end. */
export interface ProbePacket {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: "tcp" | "udp" | "sctp" | "icmp";
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** 32 bit: the TCP sequence number, the SCTP initiate tag, or the payload. */
  readonly id: number;
  /** The byte of the type of service. Default 0. */
  readonly tos?: number;
}

const NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;

/** The bytes of an IP packet: a SYN, a datagram, an INIT or an echo request. */
export function buildPacket(packet: ProbePacket): Buffer {
  const family = familyOf(packet.source);
  const number = packet.protocol === "icmp" ? (family === 4 ? 1 : 58) : NUMBERS[packet.protocol];
  const body = bodyOf(packet, number);
  return Buffer.concat([
    family === 4 ? header4(packet, number, body.length) : header6(packet, number, body.length),
    body,
  ]);
}

function addressBytes(address: IpAddress): Buffer {
  const width = addressWidth(familyOf(address));
  return Buffer.from(
    addressBits(address)
      .toString(16)
      .padStart(width / 4, "0"),
    "hex",
  );
}

function header4({ source, destination, tos = 0 }: ProbePacket, protocol: number, length: number): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt8(tos, 1);
  header.writeUInt16BE(20 + length, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocol, 9);
  addressBytes(source).copy(header, 12);
  addressBytes(destination).copy(header, 16);
  header.writeUInt16BE(checksum([header]), 10);
  return header;
}

function header6({ source, destination, tos = 0 }: ProbePacket, protocol: number, length: number): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt16BE(0x6000 | (tos << 4), 0);
  header.writeUInt16BE(length, 4);
  header.writeUInt8(protocol, 6);
  header.writeUInt8(64, 7);
  addressBytes(source).copy(header, 8);
  addressBytes(destination).copy(header, 24);
  return header;
}

function bodyOf(packet: ProbePacket, number: number): Buffer {
  switch (packet.protocol) {
    case "tcp": {
      const body = ported(packet, 20);
      body.writeUInt32BE(packet.id, 4);
      body.writeUInt8(0x50, 12);
      body.writeUInt8(0x02, 13);
      body.writeUInt16BE(0xffff, 14);
      return withChecksum(body, 16, [pseudoHeader(packet, number, body.length)]);
    }
    case "udp": {
      const body = ported(packet, 12);
      body.writeUInt16BE(12, 4);
      body.writeUInt32BE(packet.id, 8);
      return withChecksum(body, 6, [pseudoHeader(packet, number, body.length)]);
    }
    case "icmp": {
      const body = Buffer.alloc(12);
      body.writeUInt8(number === 1 ? 8 : 128, 0);
      body.writeUInt16BE(packet.sourcePort, 4);
      body.writeUInt32BE(packet.id, 8);
      return withChecksum(body, 2, number === 1 ? [] : [pseudoHeader(packet, number, body.length)]);
    }
    case "sctp": {
      const body = ported(packet, 32);
      body.writeUInt8(1, 12);
      body.writeUInt16BE(20, 14);
      body.writeUInt32BE(packet.id, 16);
      body.writeUInt32BE(0xffff, 20);
      body.writeUInt16BE(1, 24);
      body.writeUInt16BE(1, 26);
      body.writeUInt32LE(crc32c(body), 8);
      return body;
    }
  }
}

function ported({ sourcePort, destinationPort }: ProbePacket, length: number): Buffer {
  const body = Buffer.alloc(length);
  body.writeUInt16BE(sourcePort, 0);
  body.writeUInt16BE(destinationPort, 2);
  return body;
}

function pseudoHeader({ source, destination }: ProbePacket, protocol: number, length: number): Buffer {
  const tail = Buffer.alloc(8);
  tail.writeUInt32BE(length, 0);
  tail.writeUInt32BE(protocol, 4);
  return Buffer.concat([addressBytes(source), addressBytes(destination), tail]);
}

function withChecksum(body: Buffer, offset: number, before: readonly Buffer[]): Buffer {
  body.writeUInt16BE(checksum([...before, body]), offset);
  return body;
}

/** The Internet checksum (RFC 1071). */
function checksum(parts: readonly Buffer[]): number {
  let sum = 0;
  for (const part of parts) for (let at = 0; at < part.length; at += 2) sum += part.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** CRC32c, which SCTP has (RFC 9260). */
function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
