import fc from "fast-check";
import type { ContractPlanOptions } from "./contract-plan.ts";

export const WEB = "default/web";
export const DNS = "default/dns";
export const EXTRA = "default/extra";

/** The ClusterIP to which `default/dns` moves, and that the machine may refuse. */
export const DNS_MOVED = "10.100.0.22";

/** One plan of a walk. */
export interface Step {
  readonly plan: ContractPlanOptions;
  /** Whether it is applied without saying what changed. */
  readonly isFull: boolean;
}

export const anyStep: fc.Arbitrary<Step> = fc.record({
  plan: fc.record({
    web: fc.subarray(["a", "b", "c"]),
    dns: fc.subarray(["a", "b", "c"]),
    dnsAddress: fc.constantFrom("10.100.0.2", DNS_MOVED),
    extra: fc.boolean(),
    services: fc.subarray(["web", "dns", "api"]),
  }),
  isFull: fc.boolean(),
});

/** What tells two plans of a walk apart: `namespace/name` of each service that came, went or is otherwise. */
export function changedBetween(before: ContractPlanOptions, after: ContractPlanOptions): ReadonlySet<string> {
  const partsOf = ({ services = [], web, dns, dnsAddress, extra }: ContractPlanOptions) => ({
    [WEB]: services.includes("web") && web,
    [DNS]: services.includes("dns") && [dns, dnsAddress],
    "default/api": services.includes("api"),
    [EXTRA]: extra,
  });
  const was = new Map(Object.entries(partsOf(before)).map(([name, part]) => [name, JSON.stringify(part)]));
  const is = Object.entries(partsOf(after));
  return new Set(is.filter(([name, part]) => was.get(name) !== JSON.stringify(part)).map(([name]) => name));
}
