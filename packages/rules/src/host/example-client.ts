import {
  type ClientKind,
  cidrContains,
  type Family,
  type Frontend,
  familyOf,
  type HostPlan,
  type IpAddress,
  parseIpAddress,
} from "@svcproxy/topology";
import type { HostState } from "./host-state.ts";

/** Nobody has these: they are for documents. */
const STRANGERS: Readonly<Record<Family, string>> = { 4: "198.51.100.200", 6: "2001:db8:ffff::200" };

export interface ClientQuestion {
  readonly plan: HostPlan;
  readonly hostState: HostState;
  readonly family: Family;
  readonly frontend: Frontend;
}

/** Addresses of clients of a kind that may dial a frontend; none: there is no such client here. */
export function exampleClients(
  kind: ClientKind,
  { plan, hostState, family, frontend: { sourceRanges } }: ClientQuestion,
): readonly IpAddress[] {
  const mayDial = (address: IpAddress | undefined): address is IpAddress =>
    address !== undefined &&
    familyOf(address) === family &&
    (sourceRanges.length === 0 || sourceRanges.some((range) => cidrContains(range, address)));
  switch (kind) {
    case "pod":
      return plan.host.pods.flatMap(({ addresses }) => addresses.map(({ address }) => address)).filter(mayDial);
    case "host": {
      const own = new Set(hostState.interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)));
      return plan.host.addresses.filter((address) => own.has(address)).filter(mayDial);
    }
    case "outside":
      return [...sourceRanges.map(({ address }) => address), parseIpAddress(STRANGERS[family])].filter(mayDial);
  }
}
