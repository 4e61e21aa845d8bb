import { traceToJson } from "@svcproxy/rules";
import { InputError, parseIpAddress } from "@svcproxy/topology";
import type { Observation } from "../observation.ts";
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
    const device = peer.snapshot.links.find(({ name }) => name === way.interface)?.name;
    try {
      const trace = peer.tracer(family)?.trace({
        from,
        to: way.endpoint.address,
        port: way.endpoint.port,
        protocol: way.protocol,
        ...(device === undefined ? {} : { inInterface: device }),
      });
      const [branch] = trace?.branches ?? [];
      if (trace === undefined || branch?.kind !== "decided") continue;
      const told = traceToJson(trace).branches[0];
      const { ending, state } = branch.ended;
      const common = { at: peer, family, sufferer: way.sufferer } as const;
      if (ending.kind === "dropped" || ending.kind === "refused")
        stops.push({ ...common, isReply: false, why: stopOfEnding({ ending, state, steps: told?.steps ?? [] }) });
      else if (branch.reply?.returns === false && branch.reply.ending !== undefined)
        stops.push({
          ...common,
          isReply: true,
          why: stopOfEnding({ ending: branch.reply.ending, state: undefined, steps: told?.reply?.steps ?? [] }),
        });
      else if (ending.kind === "delivered" && ending.to === "interface")
        arriving.push({
          ...way,
          at: peer,
          interface: ending.interface,
          nextHop: ending.nextHop,
          prefixLength: undefined,
        });
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
  }
  return { stops, arriving };
}
