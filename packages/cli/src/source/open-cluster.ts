import { ApiClient, KubernetesSource, loadClusterAccess } from "@svcproxy/agent";
import { type ParsedProxyConfiguration, problemOf, problemSentence } from "@svcproxy/topology";
import type { Logger } from "pino";
import { version } from "../command-line/this-program.ts";
import { nodeName } from "./node-name.ts";
import { readAllowedBlock } from "./read-topology.ts";
import type { TopologyFlags } from "./topology-input.ts";

export interface OpenClusterOptions {
  readonly flags: TopologyFlags;
  readonly configuration: ParsedProxyConfiguration | undefined;
  /** What flags say that the cluster calls this machine. */
  readonly nodeFlag: string | undefined;
  readonly logger: Logger;
}

/** A cluster to be followed as one of its nodes; the client is to be disposed at the end. @throws InputError */
export async function openCluster({ flags, configuration, nodeFlag, logger }: OpenClusterOptions) {
  const node = nodeName(nodeFlag || configuration?.program.hostnameOverride);
  const { access, warnings } = await loadClusterAccess({
    kubeconfig: flags.kubeconfig ?? configuration?.program.kubeconfig,
    context: flags.context,
  });
  for (const warning of warnings) logger.warn({ code: warning.code }, problemSentence(problemOf(warning)));
  const client = new ApiClient(access, { version });
  const source = new KubernetesSource({
    ...{ client, node, ...(configuration === undefined ? {} : { configuration }) },
    allowExternalIPs: (flags.allowExternalIps ?? []).map(readAllowedBlock),
    needsPodCIDR: configuration?.settings.detectLocal?.mode === "NodeCIDR",
  });
  logger.info({ node, server: client.name }, `this is node ${node} of the cluster at ${client.name}`);
  return { source, client };
}
