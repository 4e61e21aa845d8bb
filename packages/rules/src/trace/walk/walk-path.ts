import type { IpAddress } from "@svcproxy/topology";
import type { Route } from "../../host/host-state.ts";
import { hasFlag, isBridge, isLoopback, isLoopbackAddress, isOnLink, loopbackName } from "../../host/interface-kind.ts";
import type { RouteAnswer } from "../../host/policy-routing.ts";
import { goesByLoopback, type HostView, TO_ALL } from "../../host/routing.ts";
import { forwardedPriority } from "../packet/forwarded-priority.ts";
import type { PacketView } from "../packet/packet-view.ts";
import { hopsUsedUp, TTL_OPEN } from "./hops-used-up.ts";
import {
  forwardingOff,
  frameReason,
  isForHost,
  martianReason,
  needsStrictInterface,
  notForwardingText,
  reversePath,
  unreadableReason,
} from "./incoming-checks.ts";
import { icmpAnswer } from "./refusal-answer.ts";
import type { WalkContext } from "./rule-visit.ts";
import { type Passage, walkHook } from "./walk-hook.ts";
import { type Ending, ends, goesOn, nextStep, type WalkResult, type WalkState, withNote } from "./walk-state.ts";

type WalkStep = (state: WalkState) => WalkResult;

/** Takes a packet that came in by `packet.inInterface` to its end. */
export function walkArriving(passage: Passage, entering: WalkState): WalkResult {
  const { context } = passage;
  const { packet } = entering;
  const unreadable = unreadableReason(context.host, packet);
  if (unreadable !== undefined) return ends(entering, { kind: "dropped", because: unreadable, fact: "martian" });
  if (isSwitched(context.host, packet)) return walkSwitched(passage, entering);
  const before = packet.destination;
  return nextStep(walkHook(passage, entering, "PREROUTING"), (state) =>
    decideInput(passage, state, { destinationChanged: state.packet.destination !== before }),
  );
}

/** Takes a packet that the host itself sends to its end. Its route is asked first: without one nothing is sent at all. */
export function walkLocalOutput(passage: Passage, entering: WalkState): WalkResult {
  const routed = routeOutput(passage.context, entering, { isFirst: true });
  const throughOutput = nextStep(routed, (state) => walkHook(passage, state, "OUTPUT"));
  return nextStep(throughOutput, (state) => {
    // OUTPUT's rules see the first route's interface to the end; POSTROUTING sees where it leaves now.
    const out = state.route === undefined ? undefined : leavesOutputBy(passage.context.host, state.route);
    const leaving = { ...state, packet: withOutInterface(state.packet, out) };
    const posted = walkHook(passage, leaving, "POSTROUTING");
    return nextStep(posted, (way) => (isLoopback(passage.context.host, out) ? loopBack(passage, way) : leaves(way)));
  });
}

/** How OUTPUT's changes lead to another route; for a passage's `reroute`. */
export function rerouteOutput(context: WalkContext): WalkStep {
  return (state) => routeOutput(context, state, { isFirst: false });
}

/** Whether a frame goes from one port of a bridge to another without the host's IP layer. */
function isSwitched({ router }: HostView, { inInterface, destination }: PacketView): boolean {
  const device = router.interfaceOf(inInterface ?? "");
  return device !== undefined && isBridge(device) && isOnLink(device, destination) && !router.isLocal(destination);
}

function walkSwitched(passage: Passage, entering: WalkState): WalkResult {
  if (entering.packet.bridge === undefined) {
    const text = `${entering.packet.inInterface} switches the frame from port to port, and no rule is asked (bridge-nf-call is off)`;
    return leavesBy(withNote(entering, text), entering.packet.inInterface ?? "", entering.packet.destination);
  }
  const before = entering.packet.destination;
  return nextStep(walkHook(passage, entering, "PREROUTING"), (state) =>
    state.packet.destination === before
      ? bridgeOn(passage, withNote(state, `the bridge ${state.packet.inInterface} switches it from port to port`))
      : decideInput(passage, state, { destinationChanged: true }),
  );
}

/** The routing decision for what came in: here, onwards, or nowhere. */
function decideInput(
  passage: Passage,
  state: WalkState,
  { destinationChanged }: { destinationChanged: boolean },
): WalkResult {
  const { host } = passage.context;
  const { packet } = state;
  const martian = martianReason(host, packet);
  if (martian !== undefined) return ends(state, { kind: "dropped", because: martian, fact: "martian" });
  const answer = routeOf(host, packet);
  // IPv4 asks first whether it forwards at all; IPv6 tells of a missing route whether it does or not.
  const off = isForHost(answer)
    ? undefined
    : forwardingOff(host, { family: packet.family, device: packet.inInterface });
  if (off !== undefined && packet.family === 4) return ends(state, notForwarding(off));
  if (answer.kind !== "found" || !["unicast", "local", "broadcast", "multicast", "anycast"].includes(answer.route.type))
    return ends(state, noRoute(answer, packet));
  // Only what has a way on is asked for its way back.
  const reverse = reversePath(host, packet, answer.route);
  if (reverse.kind === "unknown") return ends(state, { kind: "undecided", because: reverse.because });
  if (reverse.kind === "failed")
    return ends(state, {
      kind: "dropped",
      because: `reverse-path filtering: ${reverse.because}`,
      fact: "reverse-path",
    });
  const { route } = answer;
  const routed: WalkState = { ...state, route };
  if (route.type !== "unicast")
    return deliver(passage, withNote(routed, `${packet.destination} is the host's own address`));
  const toSameBridge = packet.bridge !== undefined && route.interface === packet.inInterface;
  if (toSameBridge && destinationChanged) {
    const text = `the bridge ${packet.inInterface} passes it on to one of its ports`;
    return bridgeOn(passage, withNote(routed, text));
  }
  if (off !== undefined) return ends(routed, notForwarding(off));
  const unpassed = frameReason(packet, "elsewhere");
  if (unpassed !== undefined) return ends(routed, { kind: "dropped", because: unpassed });
  const { ttl, isTtlOpen } = packet;
  if (isTtlOpen) return ends(routed, { kind: "undecided", because: TTL_OPEN });
  if (ttl !== undefined && ttl <= 1) return ends(routed, hopsUsedUp(packet.family, ttl));
  return forward(passage, routed, route.interface ?? "");
}

function routeOf(host: HostView, packet: PacketView): RouteAnswer {
  if (TO_ALL !== undefined && packet.destination === TO_ALL.destination.address)
    return { kind: "found", route: TO_ALL };
  return host.router.lookup({
    destination: packet.destination,
    source: packet.source,
    mark: packet.mark,
    ...headerOf(packet),
    inInterface: packet.inInterface ?? "",
    ...(needsStrictInterface(packet) ? { onlyInterface: packet.inInterface ?? "" } : {}),
  });
}

function notForwarding(sysctl: string): Ending {
  return { kind: "dropped", because: notForwardingText(sysctl), fact: "not-forwarding" };
}

function noRoute(answer: RouteAnswer, { destination, family }: PacketView): Ending {
  if (answer.kind === "unknown") return { kind: "undecided", because: answer.because };
  if (answer.kind === "none")
    return {
      kind: "refused",
      because: `no route leads to ${destination}`,
      answer: icmpAnswer("none", family),
      fact: "no-route",
    };
  return answer.route.type === "blackhole"
    ? { kind: "dropped", because: `the route to ${destination} is a blackhole`, fact: "route-refuses" }
    : {
        kind: "refused",
        because: `the route to ${destination} is ${answer.route.type}`,
        answer: icmpAnswer(answer.route.type, family),
        fact: "route-refuses",
      };
}

function deliver(passage: Passage, state: WalkState): WalkResult {
  return nextStep(walkHook(passage, state, "INPUT"), (way) => {
    const untaken = frameReason(way.packet, "host");
    return ends(way, untaken === undefined ? { kind: "delivered", to: "host" } : { kind: "dropped", because: untaken });
  });
}

function forward(passage: Passage, state: WalkState, out: string): WalkResult {
  const gateway = state.route?.gateway;
  const text = `routed to ${out}${gateway === undefined ? "" : ` by way of ${gateway}`}`;
  const leaving = withNote({ ...state, packet: withOutInterface(hopped(state.packet), out) }, text);
  return postroute(
    passage,
    nextStep(goesOn(leaving), (way) => walkHook(passage, way, "FORWARD")),
  );
}

/** FORWARD's rules see the TTL, and of IPv4 the priority, that the packet goes on with. */
function hopped(packet: PacketView): PacketView {
  const next = packet.ttl === undefined ? packet : { ...packet, ttl: packet.ttl - 1 };
  if (next.family === 6) return next;
  const { priority: _, ...rest } = next;
  return rest.tos === undefined ? rest : { ...rest, priority: forwardedPriority(rest.tos) };
}

/** FORWARD and POSTROUTING of a frame that goes from port to port of one bridge. */
function bridgeOn(passage: Passage, state: WalkState): WalkResult {
  const { host } = passage.context;
  const { packet } = state;
  const bridge = packet.inInterface ?? "";
  const comesBack = packet.destination === senderOf(packet);
  const outPort = comesBack ? packet.bridge?.inPort : undefined;
  if (comesBack && !sendsBack(host, bridge, packet.bridge?.inPort)) {
    return ends(state, {
      kind: "dropped",
      because: `${bridge} sends no frame back to the port by which it came (hairpin mode is off)`,
      fact: "hairpin-off",
    });
  }
  const switched: PacketView = {
    ...withOutInterface(packet, bridge),
    bridge: { ...packet.bridge, isBridged: true, ...(outPort === undefined ? {} : { outPort }) },
  };
  const forwarded = walkHook(passage, { ...state, packet: switched }, "FORWARD");
  return postroute(
    passage,
    // A switched frame shows POSTROUTING no incoming interface; a routed packet does.
    nextStep(forwarded, (way) => {
      const { inInterface: _, ...rest } = way.packet;
      return goesOn({ ...way, packet: rest });
    }),
  );
}

/** Who put the packet on the wire, whatever it was translated to since. */
function senderOf({ connection }: PacketView): IpAddress | undefined {
  return connection?.direction === "REPLY" ? connection.reply.source : connection?.original.source;
}

/** A pod that reaches itself needs its port's hairpin mode. Where no port is listed, as for a host that a topology implies, it is on. */
function sendsBack({ state }: HostView, bridge: string, port: string | undefined): boolean {
  const ports = state.interfaces.filter(
    ({ name, master }) => master === bridge && (port === undefined || name === port),
  );
  return ports.every(({ hairpinMode }) => hairpinMode !== false);
}

function postroute(passage: Passage, result: WalkResult): WalkResult {
  return nextStep(
    nextStep(result, (way) => walkHook(passage, way, "POSTROUTING")),
    leaves,
  );
}

function leaves(state: WalkState): WalkResult {
  const { packet, route } = state;
  return leavesBy(state, packet.outInterface ?? "", route?.gateway ?? packet.destination);
}

function leavesBy(state: WalkState, device: string, nextHop: IpAddress): WalkResult {
  return ends(state, { kind: "delivered", to: "interface", interface: device, nextHop });
}

function routeOutput(context: WalkContext, state: WalkState, { isFirst }: { isFirst: boolean }): WalkResult {
  const { host } = context;
  const { packet } = state;
  const answer = host.router.lookup({
    destination: packet.destination,
    source: packet.source,
    mark: packet.mark,
    // Where a rule of OUTPUT makes it ask again, the kernel does not look at ports.
    ...(isFirst ? headerOf(packet) : packet.tos === undefined ? {} : { tos: packet.tos }),
    inInterface: "lo",
  });
  if (answer.kind !== "found" || !["unicast", "local", "broadcast", "multicast", "anycast"].includes(answer.route.type))
    return ends(state, outputFailure(answer, { packet, isFirst }));
  const { route } = answer;
  const out = leavesOutputBy(host, route) ?? "";
  if (
    packet.family === 4 &&
    isLoopbackAddress(packet.source) &&
    !isLoopback(host, out) &&
    !hasFlag(host, out, "route_localnet")
  )
    return ends(state, { kind: "dropped", because: `${packet.source} may not leave by ${out} (no route_localnet)` });
  const text = `${isFirst ? "" : "re"}routed to ${out}${route.gateway === undefined ? "" : ` by way of ${route.gateway}`}`;
  const routed = withNote({ ...state, route }, text);
  // A rule that reroutes does not change which interface the rest of OUTPUT sees.
  return goesOn(isFirst ? { ...routed, packet: withOutInterface(packet, out) } : routed);
}

/** What policy rules may ask besides addresses and mark. */
function headerOf({ tos, protocol, sourcePorts, destinationPorts }: PacketView) {
  return {
    protocol,
    ...(tos === undefined ? {} : { tos }),
    ...(sourcePorts === undefined ? {} : { sourcePorts }),
    ...(destinationPorts === undefined ? {} : { destinationPorts }),
  };
}

function leavesOutputBy(host: HostView, route: Route): string | undefined {
  return goesByLoopback(route) ? loopbackName(host) : route.interface;
}

/** A program learns at once that its first packet has no way; one that a rule sent nowhere is lost in silence. */
function outputFailure(answer: RouteAnswer, { packet, isFirst }: { packet: PacketView; isFirst: boolean }): Ending {
  const ending = noRoute(answer, packet);
  if (ending.kind === "undecided") return ending;
  const because = "because" in ending ? ending.because : "";
  const fact = "fact" in ending && ending.fact !== undefined ? { fact: ending.fact } : {};
  return isFirst
    ? { kind: "refused", because: `${because}: the host cannot send it`, answer: { kind: "told" }, ...fact }
    : { kind: "dropped", because, ...fact };
}

/** What the host sends to itself comes in again by the loopback, with its route; NAT is not asked twice. */
function loopBack(passage: Passage, state: WalkState): WalkResult {
  const device = loopbackName(passage.context.host);
  const { outInterface: _, connection, ...packet } = state.packet;
  const confirmed = connection === undefined ? {} : { connection: { ...connection, isConfirmed: true } };
  const returning = withNote(
    { ...state, packet: { ...packet, ...confirmed, inInterface: device, isLocal: false } },
    `it comes in again by ${device}`,
  );
  return nextStep(walkHook(passage, returning, "PREROUTING"), (way) => deliver(passage, way));
}

function withOutInterface(packet: PacketView, out: string | undefined): PacketView {
  const { outInterface: _, ...rest } = packet;
  return out === undefined ? rest : { ...rest, outInterface: out };
}
