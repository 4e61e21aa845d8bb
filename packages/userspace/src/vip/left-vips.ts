import type { Machine } from "@svcproxy/host";
import { EnvironmentError, type IpAddress } from "@svcproxy/topology";
import type { InstanceOptions } from "../instance/instance-options.ts";
import { queryInstance } from "../instance.ts";
import { readLocalAddresses } from "./local-addresses.ts";

/** VIPs that a proxy made local here although none runs any more: whoever dials them is refused. */
export async function findLeftVips(machine: Machine, instance: InstanceOptions = {}): Promise<readonly IpAddress[]> {
  const { addresses } = await readLocalAddresses(machine);
  const left = addresses.filter(({ ours }) => ours).map(({ address }) => address);
  return left.length === 0 || (await isRunning(instance)) ? [] : left;
}

async function isRunning(instance: InstanceOptions): Promise<boolean> {
  try {
    await queryInstance(instance);
    return true;
  } catch (error) {
    if (!(error instanceof EnvironmentError) || error.code !== "NOT_RUNNING") throw error;
    return false;
  }
}
