import type { HostPlan } from "@svcproxy/topology";
import { familyOf } from "@svcproxy/topology";
import { protocolName } from "../../text/protocol-names.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { CLIENT_PORTS, hasPorts } from "../../trace/packet/request.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import type { IndexSet } from "../space/index-set.ts";
import { firstMember, hasMember, intersect, isSubset, rangeSet, singleSet, unite } from "../space/index-set.ts";
import { anyMarkOf, hasMark } from "../space/mark-set.ts";
import type { Region } from "../space/region.ts";
import type { ProofPacket } from "./proof.ts";

/** Picks packets that people know: from the host's own address, from a pod of the topology. */
export class ExamplePackets {
  readonly #context: ProofContext;
  /** The first choices, in this order. */
  readonly #best: readonly number[];
  readonly #anyKnown: IndexSet;

  constructor(context: ProofContext, plan?: HostPlan) {
    this.#context = context;
    const { space } = context;
    const hosts = plan === undefined ? [] : [plan.host, ...plan.hosts.filter(({ name }) => name !== plan.host.name)];
    const addresses = hosts.flatMap((host) => [
      ...host.addresses,
      ...host.pods.flatMap((pod) => pod.addresses.map(({ address }) => address)),
    ]);
    const own = context.view.state.interfaces.flatMap((device) => device.addresses.map(({ address }) => address));
    const known = [...addresses, ...own]
      .filter((address) => familyOf(address) === space.family && space.isMentioned(address))
      .map((address) => space.indexOf(address));
    // Large topologies have many pods, and any will do.
    this.#best = known.slice(0, 16);
    this.#anyKnown = unite(known.map(singleSet));
  }

  of(region: Region, { source }: { readonly source?: number } = {}): ProofPacket {
    const { space } = this.#context;
    const protocolNumber = firstMember(region.protocol) ?? 6;
    const protocol = protocolName(String(hasMember(region.protocol, 6) ? 6 : protocolNumber)) ?? String(protocolNumber);
    const mark = hasMark(region.mark, 0) ? 0 : (anyMarkOf(region.mark) ?? 0);
    const state = CONNECTION_STATES[firstMember(region.state) ?? 0] ?? "NEW";
    const isAnyClientPort = isSubset(rangeSet(CLIENT_PORTS.from, CLIENT_PORTS.to + 1), region.sourcePort);
    return {
      from: space.addressAt(source ?? this.pick(region.source)),
      to: space.addressAt(this.pick(region.destination)),
      protocol,
      ...(hasPorts(protocol) ? { port: portIn(region.destinationPort) } : {}),
      ...(hasPorts(protocol) && !isAnyClientPort ? { sourcePort: portIn(region.sourcePort) } : {}),
      ...(mark === 0 ? {} : { mark }),
      ...(state === "NEW" ? {} : { state }),
    };
  }

  /** Whether a packet to these destinations is one that people would think of. */
  isKnown({ destination }: Region): boolean {
    return intersect(destination, this.#anyKnown).length > 0;
  }

  /** The member that people know best. */
  pick(set: IndexSet): number {
    const best = this.#best.find((piece) => hasMember(set, piece));
    return best ?? firstMember(intersect(set, this.#anyKnown)) ?? firstMember(set) ?? 0;
  }
}

/** Port 0 is in no real packet. */
function portIn(set: IndexSet): number {
  const first = firstMember(set) ?? 0;
  if (hasMember(set, 80)) return 80;
  return first === 0 ? (hasMember(set, 1) ? 1 : first) : first;
}
