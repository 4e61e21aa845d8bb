import { type Family, InputError, parseIpAddress } from "@svcproxy/topology";
import type { HostRules } from "../hooks/host-rules.ts";
import type { HostState } from "../host/host-state.ts";
import { ALL_PORTS, ALL_PROTOCOLS, ALL_STATES } from "../prove/compile/condition.ts";
import { proofContexts } from "../prove/compile/proof-context.ts";
import { unite } from "../prove/space/index-set.ts";
import { ANY_MARK } from "../prove/space/mark-set.ts";
import { enteringState, walkHost } from "../prove/walk/walk-host.ts";
import type { RuleSet } from "../rule-set.ts";
import { CONNECTION_STATES } from "../trace/packet/packet-view.ts";
import type { TraceRequest } from "../trace/packet/request.ts";
import { createTracer, type Trace, type Tracer } from "../trace/trace-packet.ts";
import { randomPacket } from "./differential/random-packet.ts";
import type { RandomSource } from "./differential/random-source.ts";
import { WORLD } from "./differential/world-plan.ts";
import { difference, provedOutcomes, tracedOutcomes } from "./prover-agrees.ts";

export interface EngineComparison {
  /** Packets of which both engines say what becomes of them. */
  readonly compared: number;
  /** The first disagreement: the packet, and what differs. */
  readonly difference: string | undefined;
}

/** Sends random packets through rules by the tracer and by the prover. */
export function compareEngines(
  { rules, hostState }: { readonly rules: RuleSet | HostRules; readonly hostState: HostState },
  { random, packets }: { readonly random: RandomSource; readonly packets: number },
): EngineComparison {
  const { family } = rules;
  const [context] = proofContexts([{ rules, hostState }], (builder) => {
    for (const text of worldAddresses(family)) builder.addAddress(text);
  });
  if (context === undefined) throw new Error("no context");
  const all = {
    ...{ destination: context.space.everything, sourcePort: ALL_PORTS, destinationPort: ALL_PORTS },
    ...{ protocol: ALL_PROTOCOLS, state: ALL_STATES, mark: ANY_MARK },
  };
  const ends = {
    host: walkHost(context, enteringState({ ...all, source: context.host.local }, "host")),
    network: walkHost(context, enteringState({ ...all, source: unite(context.host.arriving.values()) }, "network")),
  };
  const tracer = createTracer({ rules, hostState, knowsDynamicSets: false });
  let compared = 0;
  for (let id = 0; id < packets; id++) {
    const request = randomRequest(random, family, id);
    const trace = tryTrace(tracer, request);
    if (trace === undefined) continue;
    const from = trace.entry.kind === "local" ? "host" : "network";
    const traced = tracedOutcomes(trace);
    const proved = provedOutcomes(ends[from], request, context);
    // A source that strict filtering lets in by no interface is in no set.
    if (from === "network" && proved?.size === 0) continue;
    const off = difference(traced, proved);
    if (off !== undefined) return { compared, difference: `${JSON.stringify(request)}\n${off}` };
    if (traced !== undefined && proved !== undefined) compared++;
  }
  return { compared, difference: undefined };
}

function worldAddresses(family: Family) {
  const { from, services, odd } = WORLD[family];
  return [...Object.values(from).flat(), ...services, ...odd].flatMap((text) => parseIpAddress(text) ?? []);
}

function randomRequest(random: RandomSource, family: Family, id: number): TraceRequest {
  const { packet } = randomPacket(random, family, id);
  const { protocol, source, destination, sourcePort, destinationPort } = packet;
  return {
    from: source,
    to: destination,
    protocol: protocol === "icmp" && family === 6 ? "ipv6-icmp" : protocol,
    ...(protocol === "icmp" ? {} : { port: destinationPort, sourcePort }),
    mark: random.pick([0, 0, 1, 0x4000, 0x100]),
    state: random.chance(0.7) ? "NEW" : random.pick(CONNECTION_STATES),
  };
}

function tryTrace(tracer: Tracer, request: TraceRequest): Trace | undefined {
  try {
    return tracer.trace(request);
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
