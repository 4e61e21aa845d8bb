import {
  type ClientKind,
  cidrContains,
  type Frontend,
  familyOf,
  type HostPlan,
  type IpAddress,
} from "@svcproxy/topology";
import type { Router } from "../../host/routing.ts";
import type { Entry } from "../packet/entry.ts";
import type { PacketView } from "../packet/packet-view.ts";
import { PlanIndex } from "./plan-index.ts";
import type { ResolvedBranch } from "./resolve-branches.ts";

/** A fraction of whole numbers: 1 of 3 endpoints. */
export interface Share {
  readonly numerator: number;
  readonly denominator: number;
}

/** The share of new connections that the plan means a branch's endpoint to get; undefined where it promises nothing for the packet. */
export function intendedShare(
  plan: HostPlan,
  {
    entry,
    router,
    branch,
  }: { entry: Entry; router: Router; branch: Extract<ResolvedBranch, { readonly kind: "decided" }> },
): Share | undefined {
  const { packet } = entry;
  const found = findFrontend(plan, packet, router);
  if (found === undefined) return undefined;
  const handling = found.clients[clientKindOf(plan, packet, router)];
  if (handling.kind !== "forward") return undefined;
  const { endpoint } = branch.outcome;
  const isPlanned = handling.endpoints.some(
    ({ address, port }) => address === endpoint?.address && port === endpoint.ports?.from,
  );
  return { numerator: isPlanned ? 1 : 0, denominator: isPlanned ? handling.endpoints.length : 1 };
}

/** The frontend that a packet dials; undefined where it dials none, or may not use it. */
function findFrontend(plan: HostPlan, packet: PacketView, router: Router): Frontend | undefined {
  const port = packet.destinationPorts;
  if (port === undefined || port.from !== port.to) return undefined;
  for (const planned of PlanIndex.of(plan).withSocket(packet.destination, port.from)) {
    if (planned.family !== packet.family || planned.port.protocol !== packet.protocol) continue;
    const frontend = planned.frontends.find((one) => one.port === port.from && serves(one, packet.destination, router));
    if (frontend !== undefined) return mayUse(frontend, packet.source) ? frontend : undefined;
  }
  return undefined;
}

function serves(frontend: Frontend, address: IpAddress, router: Router): boolean {
  if (frontend.addresses.includes(address)) return true;
  return frontend.everyHostAddress && router.isLocal(address) && !address.startsWith("127.") && address !== "::1";
}

function mayUse({ sourceRanges }: Frontend, source: IpAddress): boolean {
  const ranges = sourceRanges.filter((range) => familyOf(range.address) === familyOf(source));
  return sourceRanges.length === 0 || ranges.some((range) => cidrContains(range, source));
}

/** Whose client a packet's source is, as the plan tells them apart. */
function clientKindOf({ podDetector }: HostPlan, packet: PacketView, router: Router): ClientKind {
  if (packet.isLocal || router.isLocal(packet.source)) return "host";
  const device = packet.inInterface ?? "";
  switch (podDetector.kind) {
    case "none":
      return "outside";
    case "source":
      return podDetector.cidrs.some((cidr) => cidrContains(cidr, packet.source)) ? "pod" : "outside";
    case "bridge":
      return device === podDetector.interface ? "pod" : "outside";
    case "interfacePrefix":
      return device.startsWith(podDetector.prefix) ? "pod" : "outside";
  }
}
