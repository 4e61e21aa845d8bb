import { CONNECTION_STATES, type ConnectionState, checkRequest, type TraceRequest } from "@svcproxy/rules";
import {
  findDialled,
  findSender,
  inputError,
  joinEnds,
  type NamedEnd,
  parseIpAddress,
  parseSocketAddress,
  quote,
  type Topology,
} from "@svcproxy/topology";

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

/** Whether `from` or `to` is a name, for which a topology is needed. */
export function namesAnEnd({ from, to }: PacketWords): boolean {
  return [from, to].some((end) => typeof end === "string" && isName(end.trim()));
}

/**
 * The packet that these words mean.
 *
 * @param words.from `IP`, or `IP:PORT` with the source port; or the name of a pod or host in place of the address
 * @param words.to `IP:PORT`, `[IPv6]:PORT`, or `IP` where the protocol has no ports; or a name as `findDialled` takes it
 * @param topology where names are looked up; needed where `namesAnEnd`
 * @throws InputError BAD_PACKET, or as `findSender`, `findDialled`, `joinEnds` and `checkRequest`
 */
export function readPacket(words: PacketWords, topology?: Topology): TraceRequest {
  const said = words.proto === undefined ? undefined : String(words.proto).toLowerCase();
  const sender = readEnd("from", words.from, (text) => topology && findSender(topology, text));
  const dialled = readEnd(
    "to",
    words.to,
    (text) => topology && findDialled(topology, text, said === undefined ? {} : { protocol: said }),
  );
  const ends = joinEnds(sender, dialled);
  const protocol = said ?? dialled.protocol;
  const sourcePort = readNumber("sport", words.sport, { min: 1, max: 65535 }) ?? sender.port;
  const mark = readNumber("mark", words.mark, { max: 0xffffffff });
  const state = readState(words.state);
  const icmp = readIcmpType(words.icmpType);
  const length = readNumber("length", words.length, { max: 65535 });
  const ttl = readNumber("ttl", words.ttl, { max: 255 });
  const request: TraceRequest = {
    from: ends.from,
    to: ends.to,
    ...(dialled.port === undefined ? {} : { port: dialled.port }),
    ...(protocol === undefined ? {} : { protocol }),
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

/** What is meant to be an address and is none is a slip, not a name: digits and dots, or several colons. */
function isName(text: string): boolean {
  if (text === "" || addressOf(text) !== undefined) return false;
  return !/^[\d.]+(:.*)?$/.test(text) && !/^[[\]\da-fA-F:.]*:[[\]\da-fA-F:.]*:/.test(text);
}

function addressOf(text: string): NamedEnd | undefined {
  const address = parseIpAddress(text.replace(/^\[(.*)\]$/, "$1"));
  if (address !== undefined) return { called: address, addresses: [address] };
  const socket = parseSocketAddress(text);
  return socket === undefined ? undefined : { called: socket.address, addresses: [socket.address], port: socket.port };
}

function readEnd(name: "from" | "to", value: unknown, findNamed: (text: string) => NamedEnd | undefined): NamedEnd {
  const text = typeof value === "string" ? value.trim() : "";
  const found = addressOf(text) ?? (isName(text) ? findNamed(text) : undefined);
  if (found !== undefined) return found;
  const form =
    name === "from"
      ? "a pod or host of the topology, or an address as 10.5.75.2"
      : "a service of the topology with a port, as service1:7070, or an address and port as 10.100.100.1:7070 or [fd00::1]:7070";
  throw inputError(
    "BAD_PACKET",
    `Cannot trace a packet with ${name} ${value === undefined ? "missing" : typeof value === "string" ? quote(value) : JSON.stringify(value)}`,
    { hint: `Write ${form}` },
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
