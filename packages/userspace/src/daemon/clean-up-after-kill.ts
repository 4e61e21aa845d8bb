import { thisMachine } from "@svcproxy/host";
import { EnvironmentError, type Problem } from "@svcproxy/topology";
import type { InstanceClaim, InstanceOptions } from "../contract.ts";
import { claimInstance, queryInstance } from "../instance.ts";
import { isStatusDocument } from "../observe/status-document.ts";
import { removeLocalVips } from "../vip/local-vips.ts";

/**
 * Takes away the VIPs, routes and the device that a killed proxy left.
 *
 * @returns what could not be taken away
 * @throws EnvironmentError ALREADY_RUNNING where a proxy runs: they are its
 */
export async function cleanUpAfterKill(options: InstanceOptions): Promise<readonly Problem[]> {
  const claim = await claimForCleanUp(options);
  try {
    return await removeLocalVips(thisMachine);
  } finally {
    await claim.release();
  }
}

async function claimForCleanUp(options: InstanceOptions): Promise<InstanceClaim> {
  try {
    return await claimInstance({ ...options, takeOver: false });
  } catch (error) {
    if (!(error instanceof EnvironmentError) || error.code !== "ALREADY_RUNNING") throw error;
    const status = await queryInstance(options).catch(() => undefined);
    const who = isStatusDocument(status) ? `pid ${status.pid}` : "a proxy";
    throw new EnvironmentError("ALREADY_RUNNING", `Cannot clean up: ${who} runs here and needs what there is`, {
      cause: error,
      hint: "Stop it: it cleans up when it ends",
    });
  }
}
