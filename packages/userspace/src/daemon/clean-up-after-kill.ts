import type { InstanceOptions } from "../contract.ts";
import { claimInstance } from "../instance.ts";
import { hostNetwork } from "../vip/host-network.ts";
import { removeLocalVips } from "../vip/local-vips.ts";

/**
 * Takes away the VIPs, routes and the device that a killed proxy left.
 *
 * @returns what could not be taken away, as sentences without a full stop
 * @throws EnvironmentError ALREADY_RUNNING where a proxy runs: they are its
 */
export async function cleanUpAfterKill(options: InstanceOptions): Promise<readonly string[]> {
  const claim = await claimInstance({ ...options, takeOver: false });
  try {
    return await removeLocalVips(hostNetwork);
  } finally {
    await claim.release();
  }
}
