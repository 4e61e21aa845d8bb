import type { Family, IpAddress } from "@svcproxy/topology";
import { parseTopology } from "@svcproxy/topology";
import type { HostState } from "../host/host-state.ts";
import { hostStateOf } from "../host/host-state-of.ts";
import type { NumberRange } from "../match.ts";
import type { ProofContext } from "../prove/compile/proof-context.ts";
import { hasMember } from "../prove/space/index-set.ts";
import { hasMark } from "../prove/space/mark-set.ts";
import type { Region } from "../prove/space/region.ts";
import type { EndedState } from "../prove/walk/symbolic-state.ts";
import { protocolNumber } from "../text/protocol-names.ts";
import { toNumber } from "../trace/packet/fraction.ts";
import { CONNECTION_STATES } from "../trace/packet/packet-view.ts";
import type { TraceRequest } from "../trace/packet/request.ts";
import type { Trace } from "../trace/trace-packet.ts";
import { WORLD } from "./differential/world-plan.ts";

/** The host of the differential tests' world as flannel would set it up. */
export function worldHostState(family: Family): HostState {
  const own = WORLD[family].from.host.slice(0, 1);
  const blocks = family === 4 ? ["10.1.0.0/24", "10.2.0.0/24"] : ["fd01::/64", "fd02::/64"];
  const hosts = [
    { name: "host", addresses: own, podCIDRs: blocks.slice(0, 1) },
    { name: "remote", addresses: family === 4 ? ["192.168.7.8"] : ["fd07::8"], podCIDRs: blocks.slice(1) },
  ];
  const text = new TextEncoder().encode(JSON.stringify({ hosts, services: [] }));
  const state = hostStateOf(parseTopology(text, { file: "world.json" }).topology, { host: "host" });
  return { ...state, recentLists: {} };
}

/** What becomes of one packet by either engine: outcomes with their probabilities; undefined where it is not decided. */
export type Outcomes = ReadonlyMap<string, number> | undefined;

export function tracedOutcomes(trace: Trace): Outcomes {
  const outcomes = new Map<string, number>();
  for (const branch of trace.branches) {
    if (branch.kind === "undecided" || branch.outcome.verdict === "undecided") return undefined;
    const { verdict, source, destination, leftBy, mark } = branch.outcome;
    const key =
      verdict === "refused" || verdict === "dropped"
        ? verdict
        : outcomeText({
            to: destination.address,
            port: onePort(destination.ports),
            from: source.address,
            by: leftBy,
            mark,
          });
    outcomes.set(key, (outcomes.get(key) ?? 0) + toNumber(branch.probability));
  }
  return outcomes;
}

/** Undefined where NAT drew one. */
function onePort(ports: NumberRange | undefined): number | undefined {
  return ports?.from === ports?.to ? ports?.from : undefined;
}

function outcomeText(outcome: {
  to: IpAddress;
  port: number | undefined;
  from: IpAddress;
  by: string | undefined;
  mark: number;
}): string {
  return JSON.stringify([outcome.to, outcome.port ?? null, outcome.from, outcome.by ?? null, outcome.mark]);
}

/** The outcomes of the states that hold the packet. */
export function provedOutcomes(ends: readonly EndedState[], request: TraceRequest, { space }: ProofContext): Outcomes {
  const outcomes = new Map<string, number>();
  for (const { state, ending } of ends) {
    if (!holdsPacket(state.region, request, space)) continue;
    if (ending.kind === "undecided" || state.assumptions !== undefined) return undefined;
    const { kept, flipped } = state.mark;
    const mark = (((request.mark ?? 0) & kept) ^ flipped) >>> 0;
    const address = (field: "source" | "destination", entered: IpAddress) => {
      const now = state[field];
      return typeof now === "number" ? space.addressAt(now) : entered;
    };
    const { destinationPort } = state;
    const port =
      typeof destinationPort === "number" ? destinationPort : destinationPort === "unknown" ? undefined : request.port;
    const key =
      ending.kind !== "delivered"
        ? ending.kind
        : outcomeText({
            to: address("destination", request.to),
            port,
            from: address("source", request.from),
            by: state.outInterface,
            mark,
          });
    outcomes.set(key, (outcomes.get(key) ?? 0) + state.probability);
  }
  return outcomes;
}

function holdsPacket(region: Region, request: TraceRequest, space: ProofContext["space"]): boolean {
  const { protocol = "tcp", state = "NEW", port = 0, sourcePort = 0, mark = 0 } = request;
  return (
    hasMember(region.source, space.indexOf(request.from)) &&
    hasMember(region.destination, space.indexOf(request.to)) &&
    hasMember(region.protocol, protocolNumber(protocol) ?? 0) &&
    hasMember(region.destinationPort, port) &&
    hasMember(region.sourcePort, sourcePort) &&
    hasMember(region.state, CONNECTION_STATES.indexOf(state)) &&
    hasMark(region.mark, mark)
  );
}

/** What differs between the two, in words; undefined where nothing does. */
export function difference(traced: Outcomes, proved: Outcomes): string | undefined {
  if (traced === undefined || proved === undefined) return undefined;
  const keys = new Set([...traced.keys(), ...proved.keys()]);
  const off = [...keys].filter((key) => Math.abs((traced.get(key) ?? 0) - (proved.get(key) ?? 0)) > 1e-12);
  return off.length === 0
    ? undefined
    : off.map((key) => `${key}: traced ${traced.get(key) ?? 0}, proved ${proved.get(key) ?? 0}`).join("\n");
}
