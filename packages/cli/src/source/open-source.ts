import {
  EtcdSource,
  FileSource,
  type HostAgentStatus,
  lastGoodPath,
  readEtcdSettings,
  type Source,
  StatusKeeper,
} from "@svcproxy/agent";
import { inputError } from "@svcproxy/topology";
import type { Logger } from "pino";
import { readAllowedBlock, readConfiguration, topologyRequired } from "./read-topology.ts";
import { etcdFlagsOf, etcdUrlOf, type TopologyFlags } from "./topology-input.ts";

/** A source that goes on, as the command line names it. */
export interface OpenSource extends Source {
  /** Reads it again. */
  refresh(): void;
  /** Lets others know how this host stands, where there is a place for it, until it is disposed. */
  readonly tellStanding?: (status: () => HostAgentStatus) => AsyncDisposable;
}

export interface OpenSourceOptions {
  readonly files: readonly string[];
  readonly flags: TopologyFlags;
  readonly logger: Logger;
  /** See `svcproxy run --guard`. */
  readonly guardLeast: number;
  /** The host of the topology that this machine is, once that is known. */
  readonly ownHost: () => string | undefined;
}

/** @throws InputError where there is none, or it cannot be followed */
export async function openSource(options: OpenSourceOptions): Promise<OpenSource> {
  const { files, flags, logger } = options;
  if (files.length === 0) throw topologyRequired();
  const url = etcdUrlOf(files, flags);
  if (url !== undefined) return openEtcd(url, options);
  if (files.includes("-")) throw inputError("WATCH_STDIN", "Cannot follow stdin: svcproxy run needs files");
  return new FileSource({
    inputs: files,
    ...(flags.config === undefined ? {} : { config: flags.config, usesProgramSettings: true }),
    allowExternalIPs: (flags.allowExternalIps ?? []).map(readAllowedBlock),
    watch: true,
    lastGoodPath: await lastGoodPath(),
    onPassedOver: (counts) =>
      logger.info({ passedOver: Object.fromEntries(counts) }, "objects of other kinds were passed over"),
  });
}

/** etcd as a source, to which this host's standing is written. */
export function openEtcd(url: string, { flags, logger, guardLeast, ownHost }: OpenSourceOptions): OpenSource {
  const settings = readEtcdSettings(etcdFlagsOf(url, flags));
  const { config } = flags;
  const source = new EtcdSource({
    ...{ settings, guardLeast, ownHost },
    ...(config === undefined ? {} : { configuration: readConfiguration(config) }),
  });
  return Object.assign(source, {
    tellStanding: (status: () => HostAgentStatus) => {
      const standing = () => {
        const { host, state } = status();
        return host === undefined ? undefined : { host, state };
      };
      return new StatusKeeper({ source, prefix: settings.prefix, standing, logger });
    },
  });
}
