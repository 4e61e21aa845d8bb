import { CONNECTION_STATES, type ConnectionState, checkRequest, type TraceRequest } from "@svcproxy/rules";
import { type IpAddress, inputError, parseIpAddress, parseSocketAddress } from "@svcproxy/topology";

/** A packet as a command line or a line of `--packets` writes it: text, or numbers. */
export interface PacketWords {
  readonly from?: unknown;
  readonly to?: unknown;
  readonly proto?: unknown;
  readonly sport?: unknown;
  readonly inInterface?: unknown;
  readonly mark?: unknown;
  readonly state?: unknown;
  readonly icmpType?: unknown;
  readonly length?: unknown;
  readonly ttl?: unknown;
  readonly mac?: unknown;
}

/**
 * The packet that these words mean.
 *
 * @param words.from `IP`, or `IP:PORT` with the source port
 * @param words.to `IP:PORT`, `[IPv6]:PORT`, or `IP` where the protocol has no ports
 * @throws InputError BAD_PACKET, or as `checkRequest`
 */
export function readPacket(words: PacketWords): TraceRequest {
  const from = readEnd("from", words.from);
  const to = readEnd("to", words.to);
  const sourcePort = readNumber("sport", words.sport, { min: 1, max: 65535 }) ?? from.port;
  const mark = readNumber("mark", words.mark, { max: 0xffffffff });
  const state = readState(words.state);
  const icmp = readIcmpType(words.icmpType);
  const length = readNumber("length", words.length, { max: 65535 });
  const ttl = readNumber("ttl", words.ttl, { max: 255 });
  const request: TraceRequest = {
    from: from.address,
    to: to.address,
    ...(to.port === undefined ? {} : { port: to.port }),
    ...(words.proto === undefined ? {} : { protocol: String(words.proto).toLowerCase() }),
    ...(sourcePort === undefined ? {} : { sourcePort }),
    ...(words.inInterface === undefined ? {} : { inInterface: String(words.inInterface) }),
    ...(mark === undefined ? {} : { mark }),
    ...(state === undefined ? {} : { state }),
    ...(icmp === undefined ? {} : { icmp }),
    ...(length === undefined ? {} : { length }),
    ...(ttl === undefined ? {} : { ttl }),
    ...(words.mac === undefined ? {} : { macSource: String(words.mac) }),
  };
  checkRequest(request);
  return request;
}

function readEnd(name: "from" | "to", value: unknown): { readonly address: IpAddress; readonly port?: number } {
  const text = typeof value === "string" ? value.trim() : "";
  const address = parseIpAddress(text.replace(/^\[(.*)\]$/, "$1"));
  if (address !== undefined) return { address };
  const socket = parseSocketAddress(text);
  if (socket !== undefined) return socket;
  const form =
    name === "from" ? "an address, as 10.5.75.2" : "an address and port, as 10.100.100.1:7070 or [fd00::1]:7070";
  throw inputError(
    "BAD_PACKET",
    `Cannot trace a packet with ${name} ${value === undefined ? "missing" : JSON.stringify(value)}`,
    {
      hint: `Write ${form}`,
    },
  );
}

function readNumber(
  name: string,
  value: unknown,
  { min = 0, max }: { readonly min?: number; readonly max: number },
): number | undefined {
  if (value === undefined) return undefined;
  const number =
    typeof value === "number" ? value : Number(typeof value === "string" && value !== "" ? value : Number.NaN);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  throw inputError("BAD_PACKET", `Cannot trace a packet with ${name} ${JSON.stringify(value)}`, {
    hint: `Use a number from ${min} to ${max}`,
  });
}

function readState(value: unknown): ConnectionState | undefined {
  if (value === undefined) return undefined;
  const state = CONNECTION_STATES.find((known) => known === String(value).toUpperCase());
  if (state !== undefined) return state;
  throw inputError("BAD_PACKET", `Cannot trace a packet with state ${JSON.stringify(value)}`, {
    hint: `Use one of ${CONNECTION_STATES.join(", ")}`,
  });
}

function readIcmpType(value: unknown): { type: number; code: number } | undefined {
  if (value === undefined) return undefined;
  const parts = /^(\d{1,3})(?:\/(\d{1,3}))?$/.exec(String(value));
  const [type, code] = [Number(parts?.[1]), Number(parts?.[2] ?? 0)];
  if (parts !== null && type <= 255 && code <= 255) return { type, code };
  throw inputError("BAD_PACKET", `Cannot trace a packet with icmp type ${JSON.stringify(value)}`, {
    hint: "Use a number, or TYPE/CODE",
  });
}
