import {
  type Fault,
  InputError,
  type InputProblem,
  inputError,
  type ParsedProxyConfiguration,
  type Topology,
} from "@svcproxy/topology";
import { EtcdClient } from "./client/etcd-client.ts";
import type { EtcdSettings } from "./client/etcd-settings.ts";
import { type EtcdEntry, prefixRange, readRange } from "./client/etcd-store.ts";
import { followedRange } from "./etcd-layout.ts";
import { effectiveEntries } from "./source/effective-entries.ts";
import { EtcdTopology } from "./source/etcd-topology.ts";

/**
 * What etcd holds now, once: for commands that look and do not follow. Unlike a follower they have no earlier state of an entry that
 * cannot be read, so that one is a fault.
 *
 * @throws InputError with every fault, EtcdError
 */
export async function readEtcdTopology(
  settings: EtcdSettings,
  {
    signal,
    configuration,
  }: { readonly signal: AbortSignal; readonly configuration?: ParsedProxyConfiguration | undefined },
): Promise<{ readonly topology: Topology; readonly warnings: readonly Fault[] }> {
  const { prefix, flannelPrefix } = settings;
  const client = new EtcdClient(settings);
  try {
    const { entries } = await readRange(client, followedRange(prefix), { signal });
    const flannel: readonly EtcdEntry[] =
      flannelPrefix === undefined
        ? []
        : (await readRange(client, prefixRange(`${flannelPrefix}/subnets/`), { signal })).entries;
    const effective = effectiveEntries(entries, prefix);
    if (effective.entries.size === 0) {
      throw inputError("NO_ENTRIES", `There is nothing below ${prefix}/ in etcd: neither hosts nor services`, {
        hint: "Write a topology there: svcproxy etcd put FILE",
      });
    }
    const reader = new EtcdTopology({ prefix, configuration });
    const endpoints = [...reader.registered(effective).values()];
    const { topology, refused, warnings } = reader.read({ effective, endpoints, flannel });
    const [first, ...others] = refused.flatMap(({ problems }) => problems.map(faultOf));
    if (first !== undefined) throw new InputError([first, ...others]);
    return { topology, warnings: warnings.map(faultOf) };
  } finally {
    client.close();
  }
}

/** A problem of what was read, as a fault of the input: what it came from. */
function faultOf({ severity, code, text, hint, at }: InputProblem): Fault {
  return {
    severity,
    code,
    message: text,
    ...(hint === undefined ? {} : { hint }),
    ...(at === undefined ? {} : { at }),
  };
}
