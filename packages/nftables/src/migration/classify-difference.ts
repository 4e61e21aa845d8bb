import type { ComparedPackets, Fate } from "@svcproxy/rules";
import { KUBE_PROXY_TABLE } from "../kube-proxy/kube-proxy-table.ts";
import type { DifferenceKind } from "./difference-kinds.ts";
import { nameOf, type PlannedFrontend, type PlanPlaces } from "./plan-places.ts";

export interface ClassifiedDifference {
  readonly kind: DifferenceKind;
  /** `namespace/name`, perhaps several times. */
  readonly services: readonly string[];
}

/** What kind of difference it is that packets are treated with `before` one way and with `after` another. */
export function classifyDifference(
  packets: ComparedPackets,
  {
    before,
    after,
    places,
  }: { readonly before: readonly Fate[]; readonly after: readonly Fate[]; readonly places: PlanPlaces },
): ClassifiedDifference {
  const { to } = packets.packet;
  if (packets.state === "INVALID" && before.every(isDropped) && after.every(isDelivered))
    return { kind: "invalid-packets", services: [] };
  const nodePorts = places.nodePorts(packets);
  const isServed = before.some(isDelivered);
  if (places.isLoopback(to) && nodePorts.length > 0) {
    const kind = isServed ? (places.areProxied(nodePorts) ? "proxied-node-port" : "localhost-node-port") : undefined;
    return { kind: kind ?? "unserved-node-port", services: namesOf(nodePorts) };
  }
  const dialled = places.dialled(packets);
  if (deliveredShare(before) - deliveredShare(after) > TOLERANCE && after.some(isStoppedByOthers)) {
    const checked = places.isOwn(to) ? places.healthChecks(packets) : [];
    if (checked.length > 0) return { kind: "health-check-port", services: checked };
    return { kind: "firewall-hole", services: namesOf(dialled.length > 0 ? dialled : nodePorts) };
  }
  if (dialled.length > 0)
    return { kind: compareServed(packets, { before, after, dialled, places }), services: namesOf(dialled) };
  if (places.isOwn(to) && nodePorts.length > 0)
    return { kind: isServed ? "node-port-address" : "unserved-node-port", services: namesOf(nodePorts) };
  if (places.isClusterIP(to)) return { kind: "wrong-port", services: places.ofClusterIPs(packets) };
  if (places.isInServiceRange(to)) return { kind: "unassigned-address", services: [] };
  return { kind: "other", services: [] };
}

function compareServed(
  packets: ComparedPackets,
  {
    before,
    after,
    dialled,
    places,
  }: {
    readonly before: readonly Fate[];
    readonly after: readonly Fate[];
    readonly dialled: readonly PlannedFrontend[];
    readonly places: PlanPlaces;
  },
): DifferenceKind {
  const isSentAlike = before.every(isDelivered) && sameShares(sharesOf(before), sharesOf(after));
  if (isSentAlike && places.comeFromEndpoint(packets)) return "remote-pod";
  if (packets.state !== undefined && packets.state !== "NEW") return "related-packets";
  if (isSentAlike) return "client-address";
  if (before.every(isDelivered) && after.every(isDelivered)) return "endpoints";
  if (packets.packet.mark !== undefined) return "marked-packets";
  const isUnserved = dialled.every(({ planned }) => !planned.hasEndpoints);
  if (isUnserved && places.isOwn(packets.packet.from) && before.every(isDelivered) && !after.some(isDelivered))
    return "host-to-unserved";
  const isExternalLocal = dialled.every(({ planned: { service }, frontend: { kind } }) => {
    return service.externalTrafficPolicy === "Local" && kind !== "clusterIP" && kind !== "nodePort";
  });
  if (isExternalLocal && places.isOwn(packets.packet.from) && before.every(isDelivered) && after.every(isDropped))
    return "own-to-local";
  const isGuarded = dialled.some(({ frontend }) => frontend.sourceRanges.length > 0);
  if (isGuarded && before.every(({ kind }) => kind === "refused") && after.every(isDropped)) return "guarded-unserved";
  return "outcome";
}

function sharesOf(fates: readonly Fate[]): ReadonlyMap<string, number> {
  const shares = new Map<string, number>();
  for (const fate of fates) {
    const to = fate.kind === "delivered" ? `${fate.to ?? ""} ${fate.port ?? ""}` : fate.kind;
    shares.set(to, (shares.get(to) ?? 0) + fate.share);
  }
  return shares;
}

/** Far less than the kernel's random numbers can tell. */
const TOLERANCE = 2 ** -30;

function sameShares(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return [...new Set([...a.keys(), ...b.keys()])].every(
    (to) => Math.abs((a.get(to) ?? 0) - (b.get(to) ?? 0)) < TOLERANCE,
  );
}

function deliveredShare(fates: readonly Fate[]): number {
  return fates.reduce((sum, fate) => sum + (isDelivered(fate) ? fate.share : 0), 0);
}

function isDelivered({ kind }: Fate): boolean {
  return kind === "delivered";
}

function isDropped({ kind }: Fate): boolean {
  return kind === "dropped";
}

/** By a rule that is not kube-proxy's, or a chain's policy. */
function isStoppedByOthers(fate: Fate): boolean {
  return fate.kind !== "delivered" && fate.placed?.table.endsWith(` ${KUBE_PROXY_TABLE}`) !== true;
}

function namesOf(places: readonly PlannedFrontend[]): readonly string[] {
  return places.map(({ planned }) => nameOf(planned));
}
