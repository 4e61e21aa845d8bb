import { familyOf, type IpAddress } from "@svcproxy/topology";
import type { ObservedHost } from "../observation.ts";

/** The address from which a program of a host dials another, where it does not choose one: that of the device by which it leaves. */
export function sourceTowards({ router, plan }: ObservedHost, destination: IpAddress): IpAddress | undefined {
  const family = familyOf(destination);
  const answer = router.lookup({ destination, mark: 0, inInterface: "lo" });
  if (answer.kind !== "found") return undefined;
  const { preferredSource, interface: name = "" } = answer.route;
  const own = router
    .interfaceOf(name)
    ?.addresses.find(({ address, scope = "global" }) => familyOf(address) === family && scope === "global");
  return preferredSource ?? own?.address ?? plan.host.addresses.find((address) => familyOf(address) === family);
}
