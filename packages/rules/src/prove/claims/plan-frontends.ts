import type { ClientKind, Family, Frontend, HostPlan, ServicePortPlan } from "@svcproxy/topology";
import { familyOf, formatSocketAddress } from "@svcproxy/topology";
import { protocolNumber } from "../../text/protocol-names.ts";
import { ALL_PORTS, ALL_PROTOCOLS } from "../compile/condition.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import type { AddressSpaceBuilder } from "../space/address-space.ts";
import type { IndexSet } from "../space/index-set.ts";
import { intersect, NOTHING, singleSet, subtract, unite } from "../space/index-set.ts";
import type { Region } from "../space/region.ts";

/** A frontend of the plan as a set of packets. */
export interface FrontendSpace {
  readonly port: ServicePortPlan;
  readonly frontend: Frontend;
  readonly destination: IndexSet;
  readonly protocol: number;
  /** Who may use it; undefined: everyone. */
  readonly allowed: IndexSet | undefined;
  /** For people. */
  readonly name: string;
}

/** Cuts the addresses where the plan tells them apart. */
export function mentionPlan(builder: AddressSpaceBuilder, plan: HostPlan, family: Family): void {
  const isOurs = (address: Parameters<typeof familyOf>[0]) => familyOf(address) === family;
  for (const port of plan.ports) {
    if (port.family !== family) continue;
    for (const { addresses, sourceRanges } of port.frontends) {
      for (const address of addresses) builder.addAddress(address);
      for (const range of sourceRanges) if (isOurs(range.address)) builder.addCidr(range);
    }
    for (const { address } of port.reachableEndpoints) builder.addAddress(address);
  }
  for (const block of plan.node.serviceCIDRs ?? []) if (isOurs(block.address)) builder.addCidr(block);
  for (const { addresses, podCIDRs, pods } of plan.hosts) {
    for (const address of addresses) if (isOurs(address)) builder.addAddress(address);
    for (const block of podCIDRs) if (isOurs(block.address)) builder.addCidr(block);
    for (const pod of pods) for (const { address } of pod.addresses) if (isOurs(address)) builder.addAddress(address);
  }
  for (const address of plan.host.addresses) if (isOurs(address)) builder.addAddress(address);
  if (plan.podDetector.kind === "source") {
    for (const block of plan.podDetector.cidrs) if (isOurs(block.address)) builder.addCidr(block);
  }
}

export function frontendSpaces(plan: HostPlan, { space, host }: ProofContext): readonly FrontendSpace[] {
  return plan.ports.flatMap((port) => {
    if (port.family !== space.family) return [];
    const protocol = protocolNumber(port.port.protocol) ?? 0;
    return port.frontends.map((frontend): FrontendSpace => {
      const listed = frontend.addresses.map((address) => singleSet(space.indexOf(address)));
      const everywhere = frontend.everyHostAddress ? subtract(host.local, host.loopback) : NOTHING;
      const ranges = frontend.sourceRanges.filter((range) => familyOf(range.address) === space.family);
      const [address] = frontend.addresses;
      const dialled =
        address === undefined ? `port ${frontend.port}` : formatSocketAddress({ address, port: frontend.port });
      return {
        port,
        frontend,
        destination: unite([...listed, everywhere]),
        protocol,
        allowed: frontend.sourceRanges.length === 0 ? undefined : unite(ranges.map((range) => space.setOf(range))),
        name: `${frontend.kind} ${dialled}/${port.port.protocol} of ${port.service.namespace}/${port.service.name}`,
      };
    });
  });
}

/** The sources of each kind of client among packets that arrive. No client has the address of a frontend. */
export function arrivingClients(plan: HostPlan, { space, host }: ProofContext): ReadonlyMap<ClientKind, IndexSet> {
  const dialled = plan.ports
    .filter(({ family }) => family === space.family)
    .flatMap(({ frontends }) =>
      frontends.flatMap(({ addresses }) => addresses.map((one) => singleSet(space.indexOf(one)))),
    );
  const everyone = subtract(unite(host.arriving.values()), unite(dialled));
  const pods = intersect(everyone, podSources(plan, { space, host }));
  return new Map([
    ["pod", pods],
    ["outside", subtract(everyone, pods)],
  ]);
}

function podSources({ podDetector }: HostPlan, { space, host }: Pick<ProofContext, "space" | "host">): IndexSet {
  const devices = (matches: (name: string) => boolean) =>
    unite([...host.arriving].filter(([name]) => matches(name)).map(([, sources]) => sources));
  switch (podDetector.kind) {
    case "none":
      return NOTHING;
    case "source":
      return unite(
        podDetector.cidrs
          .filter(({ address }) => familyOf(address) === space.family)
          .map((block) => space.setOf(block)),
      );
    case "bridge":
      return devices((name) => name === podDetector.interface);
    case "interfacePrefix":
      return devices((name) => name.startsWith(podDetector.prefix));
  }
}

/** Where a packet goes to that dials no frontend: the complement of all of them as disjoint products. */
export function elsewhere(
  frontends: readonly FrontendSpace[],
  { space }: ProofContext,
): readonly Pick<Region, "destination" | "protocol" | "destinationPort">[] {
  const byPiece = new Map<number, Map<number, number[]>>();
  for (const { destination, protocol, frontend } of frontends) {
    for (let at = 0; at < destination.length; at += 2) {
      for (let piece = destination[at] ?? 0; piece < (destination[at + 1] ?? 0); piece++) {
        const ports = byPiece.get(piece) ?? new Map<number, number[]>();
        byPiece.set(piece, ports);
        ports.set(protocol, [...(ports.get(protocol) ?? []), frontend.port]);
      }
    }
  }
  const groups = new Map<string, { pieces: number[]; ports: Map<number, number[]> }>();
  for (const [piece, ports] of byPiece) {
    // Only a host's few addresses share a list; a VIP's own is short.
    const key = JSON.stringify([...ports]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { pieces: [piece], ports });
    else group.pieces.push(piece);
  }
  const dialled = unite([...byPiece.keys()].map(singleSet));
  const parts = [
    { destination: subtract(space.everything, dialled), protocol: ALL_PROTOCOLS, destinationPort: ALL_PORTS },
  ];
  for (const { pieces, ports } of groups.values()) {
    const destination = unite(pieces.map(singleSet));
    const protocol = subtract(ALL_PROTOCOLS, unite([...ports.keys()].map(singleSet)));
    parts.push({ destination, protocol, destinationPort: ALL_PORTS });
    for (const [number, taken] of ports) {
      const destinationPort = subtract(ALL_PORTS, unite(taken.map(singleSet)));
      parts.push({ destination, protocol: singleSet(number), destinationPort });
    }
  }
  return parts.filter((part) => part.destination.length > 0 && part.destinationPort.length > 0);
}
