import type { IpAddress } from "@svcproxy/topology";
import { isBridge } from "../../host/interface-kind.ts";
import { masqueradeAddress } from "../../host/masquerade-address.ts";
import type { HostView } from "../../host/routing.ts";
import { connectionOf } from "../packet/entry.ts";
import { ONE } from "../packet/fraction.ts";
import type { ConnectionView, PacketView } from "../packet/packet-view.ts";
import type { RefusalAnswer } from "./refusal-answer.ts";
import { judgeAnswer, type ReplyPath } from "./reply-path.ts";
import type { WalkContext } from "./rule-visit.ts";
import { rerouteOutput, walkLocalOutput } from "./walk-path.ts";
import type { Ended, WalkState } from "./walk-state.ts";

/** Follows what tells a client that it is refused: the host's own ICMP, or its TCP reset. */
export function traceRefusal(context: WalkContext, { state, ending }: Ended): ReplyPath | undefined {
  if (ending.kind !== "refused" || ending.answer.kind === "told") return undefined;
  const { host } = context;
  const { packet } = state;
  const isReset = ending.answer.kind === "reset";
  const device = host.router.interfaceOf(packet.inInterface ?? "");
  if (isReset && packet.bridge !== undefined && device !== undefined && isBridge(device))
    return { returns: true, because: "the reset goes straight out by the bridge port by which the packet came" };
  if (packet.frame !== "unicast") return lost(`the kernel answers no ${packet.frame}`);
  const source =
    isReset || host.router.isLocal(packet.destination) ? packet.destination : reportingAddress(host, packet.source);
  if (source === undefined) return lost(`no route leads back to ${packet.source}`);
  const known = connectionBehind(packet);
  const answer: PacketView = {
    family: packet.family,
    ...{ source, destination: packet.source },
    ...(isReset ? resetHeader(packet) : icmpHeader(packet, ending.answer)),
    ...{ mark: 0, isLocal: true, frame: "unicast", recent: undefined },
    ...(known === undefined ? {} : { connection: known }),
  };
  const passage = {
    context,
    connection: connectionOf({ from: source, to: packet.source, state: "INVALID" }),
    reroute: rerouteOutput(context),
  };
  const entering: WalkState = { packet: answer, probability: ONE, assumptions: undefined, past: undefined };
  const { ended } = walkLocalOutput(passage, entering);
  return judgeAnswer(host, ended, { client: packet.connection?.original.source ?? packet.source, what: "refusal" });
}

function lost(because: string): ReplyPath {
  return { returns: false, because: `the refusal is not sent: ${because}` };
}

function resetHeader({ protocol, sourcePorts, destinationPorts }: PacketView) {
  return {
    protocol,
    tcpFlags: ["RST", "ACK"],
    tos: 0,
    ...(destinationPorts === undefined ? {} : { sourcePorts: destinationPorts }),
    ...(sourcePorts === undefined ? {} : { destinationPorts: sourcePorts }),
  };
}

/** IPv4's ICMP says that it is of the network's own. @see linux net/ipv4/icmp.c, __icmp_send */
const INTERNETWORK_CONTROL = 0xc0;

function icmpHeader({ family, tos }: PacketView, answer: RefusalAnswer) {
  const icmp = answer.kind === "icmp" ? { icmp: { type: answer.type, code: answer.code } } : {};
  if (family === 6) return { protocol: "ipv6-icmp", ...icmp };
  return { protocol: "icmp", ...icmp, ...(tos === undefined ? {} : { tos: (tos & 0x1e) | INTERNETWORK_CONTROL }) };
}

/** The address with which the host reports what it does not forward: the one with which it reaches the client. */
export function reportingAddress(host: HostView, client: IpAddress): IpAddress | undefined {
  const answer = host.router.lookup({ destination: client, mark: 0, inInterface: "lo" });
  if (answer.kind !== "found") return undefined;
  const { interface: outInterface, gateway, preferredSource, type } = answer.route;
  if (type === "local") return client;
  if (outInterface === undefined) return undefined;
  return preferredSource ?? masqueradeAddress(host, { outInterface, nextHop: gateway ?? client, destination: client });
}

/** It belongs to the connection that it refuses; NAT maps it back as it would an answer. @see linux nf_conntrack_attach */
function connectionBehind({ connection }: PacketView): ConnectionView | undefined {
  if (connection === undefined || connection.state === "INVALID" || connection.state === "UNTRACKED") return undefined;
  return { ...connection, state: "RELATED", direction: "REPLY", refused: connection.state };
}
