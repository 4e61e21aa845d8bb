import { EtcdClient, type EtcdSettings, readEtcdSettings } from "@svcproxy/agent";
import type { EtcdCommandFlags } from "../flags/etcd-flags.ts";
import { etcdFlagsOf } from "./topology-input.ts";

/** Does something with the etcd that the flags name. @throws InputError where they name none */
export async function withEtcd<Result>(
  { etcd, etcdConfig }: EtcdCommandFlags,
  work: (client: EtcdClient, settings: EtcdSettings) => Promise<Result>,
): Promise<Result> {
  const settings = readEtcdSettings(etcdFlagsOf(etcd, etcdConfig === undefined ? {} : { etcdConfig }));
  const client = new EtcdClient(settings);
  try {
    return await work(client, settings);
  } finally {
    client.close();
  }
}
