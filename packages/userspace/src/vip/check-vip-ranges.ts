import {
  type Cidr,
  cidrContains,
  type Fault,
  formatCidr,
  type HostPlan,
  InputError,
  parseCidr,
} from "@svcproxy/topology";

const LOOPBACK = ["127.0.0.0/8", "::1/128"].map(parseCidr).filter((block) => block !== undefined);

/**
 * Refuses ranges that would cut this host off: a local route takes every address of its block away from the network.
 *
 * @throws InputError VIP_RANGE_TOO_WIDE where a range holds a host's or an endpoint's address, or loopback
 */
export function checkVipRanges(ranges: readonly Cidr[], plan: HostPlan): void {
  const faults: Fault[] = [];
  for (const range of ranges) {
    const taken = whatItWouldTake(range, plan);
    if (taken === undefined) continue;
    faults.push({
      severity: "error",
      code: "VIP_RANGE_TOO_WIDE",
      message: `Cannot make ${formatCidr(range)} local: it holds ${taken}, which this host could no longer reach`,
      hint: "Give a range that holds VIPs only, such as the cluster's service range",
    });
  }
  const [first, ...rest] = faults;
  if (first !== undefined) throw new InputError([first, ...rest]);
}

function whatItWouldTake(range: Cidr, plan: HostPlan): string | undefined {
  if (range.prefixLength === 0) return "every address";
  if (LOOPBACK.some((block) => cidrContains(range, block.address) || cidrContains(block, range.address)))
    return "loopback";
  for (const host of plan.hosts) {
    const address = host.addresses.find((candidate) => cidrContains(range, candidate));
    if (address !== undefined) return `${address} of host ${JSON.stringify(host.name)}`;
  }
  for (const { service, port } of plan.ports) {
    const endpoint = port.endpoints.find((candidate) => cidrContains(range, candidate.address));
    if (endpoint !== undefined) return `endpoint ${endpoint.address} of service ${JSON.stringify(service.name)}`;
  }
  return undefined;
}
