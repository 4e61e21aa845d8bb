import { exampleClients, type HostState } from "@svcproxy/rules";
import {
  addressBits,
  addressFromBits,
  addressWidth,
  type ClientKind,
  cidrContains,
  type Family,
  type Frontend,
  familyOf,
  type HostPlan,
  type IpAddress,
} from "@svcproxy/topology";

interface ClientChoice {
  readonly plan: HostPlan;
  readonly hostState: HostState;
  readonly family: Family;
  readonly frontend: Frontend;
}

/** From where a client of a kind dials a frontend, for a packet to be followed; undefined: from nowhere. */
export function chooseClient(kind: ClientKind, choice: ClientChoice): IpAddress | undefined {
  const [named] = exampleClients(kind, choice);
  return named ?? (kind === "pod" ? addressForPods(choice) : undefined);
}

/** Many topologies name no pods, and only where they get their addresses from: almost the last is hardly a bridge's. */
function addressForPods({
  plan: { host },
  family,
  hostState,
  frontend: { sourceRanges },
}: ClientChoice): IpAddress | undefined {
  const range = host.podCIDRs.find(({ address }) => familyOf(address) === family);
  if (range === undefined) return undefined;
  const hostBits = BigInt(addressWidth(family) - range.prefixLength);
  if (hostBits < 3n) return undefined;
  const address = addressFromBits(family, addressBits(range.address) + (1n << hostBits) - 3n);
  const isOwn = hostState.interfaces.some((one) => one.addresses.some((own) => own.address === address));
  const isLetIn = sourceRanges.length === 0 || sourceRanges.some((allowed) => cidrContains(allowed, address));
  return isLetIn && !isOwn ? address : undefined;
}
