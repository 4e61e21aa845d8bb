import type { Difference, Machine } from "@svcproxy/host";
import { type Cidr, type Family, formatCidr, type HostPlan } from "@svcproxy/topology";
import { vipPortKey } from "./isolation.ts";
import { readLocalAddresses } from "./local-addresses.ts";
import { localityOf, scopeOf } from "./local-vips.ts";
import { missingIsolation } from "./vip-isolation.ts";
import { portsOfVips, vipsOfPlan } from "./vips-of-plan.ts";

export interface CompareVipsOptions {
  readonly machine: Machine;
  readonly vipDevice: string | undefined;
  readonly vipRanges: readonly Cidr[];
  /** Families whose VIPs are isolated. */
  readonly isolated: readonly Family[];
  /** By `vipPortKey`: ports from which clients are kept. */
  readonly shut: ReadonlySet<string>;
}

/** Which VIPs of a plan are not local here, and what of ours is local and not in the plan. */
export async function compareVips(
  plan: HostPlan,
  { machine, vipDevice, vipRanges: ranges, isolated, shut }: CompareVipsOptions,
): Promise<readonly Difference[]> {
  const state = await readLocalAddresses(machine);
  const isLocal = await localityOf({ machine, ranges }, state);
  const { vips } = vipsOfPlan(plan);
  const wanted = new Set(vips);
  const kept = new Set(ranges.map(formatCidr));
  const place = vipDevice ?? "this host";
  const scope = {
    ...scopeOf(state, { vips, ranges, toAdd: [] }),
    ports: portsOfVips(plan).filter((port) => !shut.has(vipPortKey(port))),
  };
  const open = await Promise.all(isolated.map((family) => missingIsolation(machine, { family, scope })));
  return [
    ...open
      .flat()
      .map((text) => ({ kind: "missing-rule", place, text: `VIPs are not isolated: ip ${text} is missing` })),
    ...vips
      .filter((vip) => !isLocal(vip))
      .map((vip) => ({ kind: "missing-vip", place: `${place} ${vip}`, text: `VIP ${vip} is not on this host` })),
    ...state.addresses
      .filter(({ ours, address }) => ours && !wanted.has(address))
      .map(({ address, device }) => ({
        kind: "extra-vip",
        place: `${device} ${address}`,
        text: `${address} is on ${device}, and not in the plan`,
      })),
    ...state.ranges
      .filter(({ ours, range }) => ours && !kept.has(formatCidr(range)))
      .map(({ range, device }) => ({
        kind: "extra-range",
        place: `${device} ${formatCidr(range)}`,
        text: `The range ${formatCidr(range)} is local, and not asked for`,
      })),
  ];
}
