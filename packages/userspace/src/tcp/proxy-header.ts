import { addressBits, addressWidth, familyOf, type IpAddress, type SocketAddress } from "@svcproxy/topology";

const V2_SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const VERSION_2_PROXY = 0x21;
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;

/**
 * The header that tells an endpoint who its client is.
 *
 * @param to what the client dialled, of the client's family
 * @see https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt
 */
export function proxyHeader(
  version: "v1" | "v2",
  { from, to }: { readonly from: SocketAddress; readonly to: SocketAddress },
): Uint8Array {
  const family = familyOf(from.address);
  if (version === "v1") {
    return Buffer.from(`PROXY TCP${family} ${from.address} ${to.address} ${from.port} ${to.port}\r\n`, "latin1");
  }
  const addressBytes = addressWidth(family) / 8;
  const header = Buffer.alloc(V2_SIGNATURE.length + 4 + 2 * addressBytes + 4);
  header.set(V2_SIGNATURE);
  header.writeUInt8(VERSION_2_PROXY, 12);
  header.writeUInt8(family === 4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6, 13);
  header.writeUInt16BE(2 * addressBytes + 4, 14);
  header.set(networkBytes(from.address), 16);
  header.set(networkBytes(to.address), 16 + addressBytes);
  header.writeUInt16BE(from.port, 16 + 2 * addressBytes);
  header.writeUInt16BE(to.port, 18 + 2 * addressBytes);
  return header;
}

function networkBytes(address: IpAddress): Uint8Array {
  const digits = addressWidth(familyOf(address)) / 4;
  return Buffer.from(addressBits(address).toString(16).padStart(digits, "0"), "hex");
}
