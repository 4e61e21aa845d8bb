import type { ClientKind, Host, HostPlan } from "@svcproxy/topology";
import { familyOf } from "@svcproxy/topology";
import { isOwnSegment } from "../../trace/walk/reply-path.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import type { IndexSet } from "../space/index-set.ts";
import { intersect, NOTHING, singleSet, subtract, unite } from "../space/index-set.ts";

/** The sources to which a plan promises anything, by who they are and whether they dial a ClusterIP. */
export interface PromisedSources {
  of(client: ClientKind, isClusterIp: boolean): IndexSet;
}

/**
 * Who may count on this host: itself, by its own addresses; the pods behind its own interfaces; and on what is for outside
 * clients, everybody who is neither another host's pod, which has a host of its own for that, nor a container behind one of
 * this host's bridges that is not a pod. What another program does to the packets of the rest is its own affair.
 */
export function promisedSources(
  plan: HostPlan,
  proof: Pick<ProofContext, "space" | "host" | "view">,
  { clients, hostAddresses }: { clients: ReadonlyMap<ClientKind, IndexSet>; hostAddresses: IndexSet },
): PromisedSources {
  const { space, host, view } = proof;
  const behindUs = unite(
    [...host.arriving].flatMap(([name, sources]) => {
      const device = view.router.interfaceOf(name);
      return device !== undefined && isOwnSegment(view, device) ? [sources] : [];
    }),
  );
  const ofFamily = (address: Parameters<typeof familyOf>[0]) => familyOf(address) === space.family;
  const podsOf = ({ podCIDRs, pods, addresses }: Host): IndexSet =>
    unite([
      ...podCIDRs.filter((block) => ofFamily(block.address)).map((block) => space.setOf(block)),
      ...pods
        .flatMap((pod) => pod.addresses.map(({ address }) => address))
        .filter((address) => ofFamily(address) && !addresses.includes(address))
        .map((address) => singleSet(space.indexOf(address))),
    ]);
  const otherPods = unite(plan.hosts.filter(({ name }) => name !== plan.host.name).map(podsOf));
  const known = clients.get("pod") ?? NOTHING;
  const pods = intersect(behindUs, unite([known, podsOf(plan.host)]));
  const everyone = clients.get("outside") ?? NOTHING;
  const outside = subtract(everyone, unite([subtract(behindUs, pods), otherPods]));
  return {
    of(client, isClusterIp) {
      if (client === "host") return hostAddresses;
      if (client === "pod") return intersect(known, pods);
      // Where nothing tells pods from others, they are among these.
      return isClusterIp ? intersect(everyone, pods) : outside;
    },
  };
}
