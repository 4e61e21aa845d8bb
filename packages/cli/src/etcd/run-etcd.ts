import { drainEndpoint, EntryWriter, getEntries, removedServices, undrainEndpoint } from "@svcproxy/agent";
import { formatFault, inputError, renderEntry, splitTopology } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import type { EtcdCommandFlags } from "../flags/etcd-flags.ts";
import { readInputFiles } from "../source/read-files.ts";
import { withEtcd } from "../source/with-etcd.ts";
import { renderEntryChanges } from "./render-entry-changes.ts";

/** So many services go without a question. */
const REMOVED_FREELY = 10;

interface PutFlags extends EtcdCommandFlags {
  readonly namespace: string;
  readonly diff?: true;
  readonly yes?: true;
  readonly json?: true;
}

/** @returns 3 where `diff` finds a difference @throws InputError UNCONFIRMED_REMOVAL, and with what is wrong with the file */
export async function putTopology(context: CommandContext, file: string, flags: PutFlags): Promise<ExitCode> {
  const [input, another] = await readInputFiles(context, [file]);
  if (input === undefined || another !== undefined)
    throw inputError("TWO_FILES", `svcproxy etcd put takes one file, and ${JSON.stringify(file)} holds more`);
  const wanted = splitTopology(input, { namespace: flags.namespace });
  for (const warning of wanted.warnings) context.note(formatFault(warning));
  return withEtcd(flags, async (client, { prefix }) => {
    const writer = new EntryWriter(client, { prefix, signal: context.signal });
    const prepared = await writer.prepare(wanted);
    const { changes } = prepared.plan;
    const isSame = changes.length === 0 && prepared.plan.order === undefined;
    if (flags.json !== true) await context.print(renderEntryChanges(changes));
    if (flags.diff === true) {
      if (flags.json === true) await context.print(renderJson({ changes }));
      return isSame ? 0 : 3;
    }
    const removed = removedServices(prepared.plan);
    if (removed.length > REMOVED_FREELY && flags.yes !== true) {
      throw inputError("UNCONFIRMED_REMOVAL", `This would remove ${removed.length} services; nothing is changed`, {
        hint: "If that is meant: --yes",
      });
    }
    const { revision, isStaged } = await writer.put(prepared);
    if (flags.json === true) await context.print(renderJson({ changes, revision, isStaged }));
    if (revision === undefined) context.note("svcproxy: etcd holds that already");
    else {
      const count = changes.length === 1 ? "1 entry" : `${changes.length} entries`;
      context.note(`svcproxy: ${count} written to ${prefix}/ at revision ${revision}`);
    }
    return 0;
  });
}

export async function getTopology(
  context: CommandContext,
  flags: EtcdCommandFlags & { readonly namespace?: string; readonly json?: true },
): Promise<ExitCode> {
  return withEtcd(flags, async (client, { prefix }) => {
    const topology = await getEntries(client, { prefix, namespace: flags.namespace, signal: context.signal });
    await context.print(flags.json === true ? renderJson(topology) : renderEntry(topology));
    return 0;
  });
}

/** @param name `SERVICE/ID` */
export async function drainOrUndrain(
  context: CommandContext,
  name: string,
  { isDrained, ...flags }: EtcdCommandFlags & { readonly namespace: string; readonly isDrained: boolean },
): Promise<ExitCode> {
  const { namespace } = flags;
  const at = name.indexOf("/");
  const [service, endpoint] = [name.slice(0, at), name.slice(at + 1)];
  if (at < 1 || endpoint === "") {
    throw inputError("UNKNOWN_REGISTRATION", `Cannot read ${JSON.stringify(name)} as an endpoint`, {
      hint: "Write SERVICE/ID, for instance web/10.5.75.2:3000",
    });
  }
  return withEtcd(flags, async (client, { prefix }) => {
    const options = { prefix, signal: context.signal };
    const act = isDrained ? drainEndpoint : undrainEndpoint;
    const isNews = await act(client, { namespace, service, endpoint }, options);
    const now = isDrained ? "drained: it gets no new connections" : "in use";
    await context.print(`${namespace}/${service}: ${endpoint} is ${isNews ? "" : "already "}${now}\n`);
    return 0;
  });
}
