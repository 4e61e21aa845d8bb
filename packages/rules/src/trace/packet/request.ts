import { familyOf, type IpAddress, inputError } from "@svcproxy/topology";
import type { NumberRange } from "../../match.ts";
import { protocolName, protocolNumber } from "../../text/protocol-names.ts";
import type { ConnectionState } from "./packet-view.ts";

/** The packet that a trace follows, as far as it is known. */
export interface TraceRequest {
  readonly from: IpAddress;
  readonly to: IpAddress;
  /** The port dialled; required where the protocol has ports. */
  readonly port?: number;
  /** Default `tcp`. */
  readonly protocol?: string;
  /** Undefined: any of the ports that clients use. */
  readonly sourcePort?: number;
  /** By which interface, or port of a bridge, it comes in. Undefined: where its source lives. */
  readonly inInterface?: string;
  /** Default 0. */
  readonly mark?: number;
  /** What conntrack makes of it. Default NEW: the first packet of a connection. */
  readonly state?: ConnectionState;
  /** Default: an echo request. */
  readonly icmp?: { readonly type: number; readonly code: number };
  /** Bytes with the IP header. */
  readonly length?: number;
  readonly ttl?: number;
  /** The byte of the type of service. */
  readonly tos?: number;
  readonly macSource?: string;
}

/** From where clients dial when they do not say: Linux' `ip_local_port_range`. */
export const CLIENT_PORTS: NumberRange = { from: 32768, to: 60999 };

/** The one that is shown for all of them. */
export const SHOWN_CLIENT_PORT = 40000;

const PORT_PROTOCOLS: readonly string[] = ["tcp", "udp", "sctp", "udplite", "dccp"];

/** Whether packets of a protocol, in iptables' words, have ports. */
export function hasPorts(protocol: string): boolean {
  return PORT_PROTOCOLS.includes(protocol);
}

/** The header has 8 bits for it. */
const MAX_PROTOCOL = 255;

/**
 * The request's protocol in iptables' words; `icmp` is the one of the packet's family.
 *
 * @throws InputError where the request makes no packet
 */
export function checkRequest(request: TraceRequest): string {
  const named = protocolName(request.protocol ?? "tcp");
  const protocol = named === "icmp" && familyOf(request.from) === 6 ? "ipv6-icmp" : named;
  if (protocol === undefined || (protocolNumber(protocol) ?? Number.POSITIVE_INFINITY) > MAX_PROTOCOL)
    throw inputError(
      "UNKNOWN_PROTOCOL",
      `Cannot trace a packet of protocol ${JSON.stringify(request.protocol)}: there is no such protocol`,
      {
        hint: "Use tcp, udp, sctp, icmp or a number from 1 to 255",
      },
    );
  if (familyOf(request.from) !== familyOf(request.to))
    throw inputError(
      "MIXED_FAMILIES",
      `Cannot trace from ${request.from} to ${request.to}: one is IPv4, the other IPv6`,
    );
  if (hasPorts(protocol) && request.port === undefined)
    throw inputError("PORT_REQUIRED", `Cannot trace ${protocol} to ${request.to}: the port is missing`, {
      hint: familyOf(request.to) === 4 ? `Write ${request.to}:PORT` : `Write [${request.to}]:PORT`,
    });
  return protocol;
}
