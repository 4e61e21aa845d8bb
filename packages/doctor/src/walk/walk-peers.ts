import { traceInEachOrder, traceToJson } from "@svcproxy/rules";
import { type Family, InputError, type IpAddress, parseIpAddress } from "@svcproxy/topology";
import type { Observation, ObservedHost } from "../observation.ts";
import { stopOfEnding } from "./read-branch.ts";
import type { Leaving, Stop } from "./stop.ts";

/** What left one host for another is followed there, where there is a snapshot of it. */
export function walkPeers(
  leaving: readonly Leaving[],
  { peers }: Observation,
): { stops: readonly Stop[]; arriving: readonly Leaving[] } {
  const stops: Stop[] = [];
  const arriving: Leaving[] = [];
  for (const way of leaving) {
    const peer =
      way.endpoint.host === undefined || way.endpoint.host === way.at.name ? undefined : peers.get(way.endpoint.host);
    if (peer === undefined) continue;
    const from = parseIpAddress(way.source);
    const family = way.endpoint.address.includes(":") ? 6 : 4;
    if (from === undefined) continue;
    const found = arrive(way, { peer, from, family });
    const keys = new Set(
      found.map(({ stop, arrives }) =>
        JSON.stringify([stop?.isReply, stop?.why, arrives?.nextHop, arrives?.interface]),
      ),
    );
    const [first] = found;
    // Where it hangs on an order of chains that nobody knows, nothing is said.
    if (first === undefined || keys.size !== 1) continue;
    if (first.stop !== undefined) stops.push(first.stop);
    if (first.arrives !== undefined) arriving.push(first.arrives);
  }
  return { stops, arriving };
}

interface Arrival {
  readonly stop?: Stop;
  readonly arrives?: Leaving;
}

/** What becomes of a packet on the host that it comes to, once for each order of chains on which it hangs; none where it is not decided. */
function arrive(
  way: Leaving,
  { peer, from, family }: { readonly peer: ObservedHost; readonly from: IpAddress; readonly family: Family },
): readonly Arrival[] {
  const tracer = peer.tracer(family);
  if (tracer === undefined) return [];
  const device = peer.snapshot.links.find(({ name }) => name === way.interface)?.name;
  const { address: to, port } = way.endpoint;
  try {
    return traceInEachOrder(tracer, {
      ...{ from, to, port, protocol: way.protocol },
      ...(device === undefined ? {} : { inInterface: device }),
    }).map(({ trace }): Arrival => {
      const [branch] = trace.branches;
      if (branch?.kind !== "decided") return {};
      const told = traceToJson(trace).branches[0];
      const { ending, state } = branch.ended;
      const common = { at: peer, family, sufferer: way.sufferer } as const;
      if (ending.kind === "dropped" || ending.kind === "refused") {
        const why = stopOfEnding({ ending, state, steps: told?.steps ?? [] });
        return { stop: { ...common, isReply: false, why } };
      }
      if (branch.reply?.returns === false && branch.reply.ending !== undefined) {
        const steps = told?.reply?.steps ?? [];
        return {
          stop: {
            ...common,
            isReply: true,
            why: stopOfEnding({ ending: branch.reply.ending, state: undefined, steps }),
          },
        };
      }
      if (ending.kind !== "delivered" || ending.to !== "interface") return {};
      const { interface: out, nextHop } = ending;
      return { arrives: { ...way, at: peer, interface: out, nextHop, prefixLength: undefined } };
    });
  } catch (error) {
    // No such packet comes in here.
    if (error instanceof InputError) return [];
    throw error;
  }
}
