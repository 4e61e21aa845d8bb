import { familyOf, type HostPlan, servesNodePortsOnLocalhost } from "@svcproxy/topology";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { ALL_PORTS, ALL_PROTOCOLS } from "../compile/condition.ts";
import type { IndexSet } from "../space/index-set.ts";
import { intersect, rangeSet, singleSet, unite } from "../space/index-set.ts";
import { ANY_MARK } from "../space/mark-set.ts";
import type { Region } from "../space/region.ts";
import { enteringState, walkHost } from "../walk/walk-host.ts";
import type { CheckContext } from "./check-context.ts";
import { checkUntouched } from "./check-untouched.ts";
import type { FrontendSpace } from "./plan-frontends.ts";
import { elsewhere } from "./plan-frontends.ts";

/** Packets of connections that began before, and those that conntrack was told to leave alone. INVALID promises nothing. */
const OLDER_STATES = unite(
  (["ESTABLISHED", "UNTRACKED"] as const).map((state) => singleSet(CONNECTION_STATES.indexOf(state))),
);
/** Those that the nat table sees. What an older connection announced (RELATED) may dial a frontend too, so it is looked at elsewhere only. */
const FIRST_STATES = unite((["NEW", "RELATED"] as const).map((state) => singleSet(CONNECTION_STATES.indexOf(state))));

/** Checks that a packet to no frontend, and every packet of an older connection, passes our rules as it came. */
export function checkElsewhere(
  check: CheckContext,
  frontends: readonly FrontendSpace[],
  { node }: Pick<HostPlan, "node">,
): void {
  const onLoopback = servesNodePortsOnLocalhost(node);
  const { proof } = check;
  const arriving = unite(proof.host.arriving.values());
  const parts = [
    ...elsewhere(frontends, proof).map((part) => ({ ...part, state: FIRST_STATES })),
    { destination: proof.space.everything, protocol: ALL_PROTOCOLS, destinationPort: ALL_PORTS, state: OLDER_STATES },
  ];
  const nodePorts = unite(
    frontends.filter(({ frontend }) => frontend.kind === "nodePort").map(({ frontend }) => singleSet(frontend.port)),
  );
  const unserved = frontends.filter(
    ({ frontend: { kind, clients } }) =>
      kind === "nodePort" && Object.values(clients).some((handling) => handling.kind !== "forward"),
  );
  const clusterIps = unite(
    frontends.filter(({ frontend }) => frontend.kind === "clusterIP").map(({ destination }) => destination),
  );
  const serviceRange = unite(
    (node.serviceCIDRs ?? [])
      .filter(({ address }) => familyOf(address) === proof.space.family)
      .map((cidr) => proof.space.setOf(cidr)),
  );
  for (const part of parts.flatMap((one) => inPieces(one, proof.space.size))) {
    for (const [from, source] of [
      ["host", proof.host.local],
      ["network", arriving],
    ] as const) {
      const region: Region = { ...part, source, sourcePort: ALL_PORTS, mark: ANY_MARK };
      if (source.length === 0 || region.protocol.length === 0) continue;
      for (const end of walkHost(proof, enteringState(region, from)))
        checkUntouched(check, end, { nodePorts, unserved, onLoopback, clusterIps, serviceRange });
    }
  }
}

/** So many pieces of destinations are walked at once: what becomes of packets to thousands of them need not be there together. */
const DESTINATIONS_AT_ONCE = 512;

function inPieces<Part extends { readonly destination: IndexSet }>(part: Part, size: number): readonly Part[] {
  const pieces: Part[] = [];
  for (let first = 0; first < size; first += DESTINATIONS_AT_ONCE) {
    const destination = intersect(part.destination, rangeSet(first, Math.min(size, first + DESTINATIONS_AT_ONCE)));
    if (destination === part.destination) return [part];
    if (destination.length > 0) pieces.push({ ...part, destination });
  }
  return pieces;
}
