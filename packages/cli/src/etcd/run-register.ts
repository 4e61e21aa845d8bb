import process from "node:process";
import { connectServiceManager, parseCheck, Registration } from "@svcproxy/agent";
import {
  type Fault,
  formatEntryKey,
  formatFault,
  formatSocketAddress,
  loadEntry,
  type RegisteredEndpoint,
  readRegisteredEndpoint,
} from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import type { EtcdCommandFlags } from "../flags/etcd-flags.ts";
import { withEtcd } from "../source/with-etcd.ts";

export interface RegisterFlags extends EtcdCommandFlags {
  readonly namespace: string;
  readonly address: string;
  readonly check: string;
  readonly id?: string;
  readonly host?: string;
  /** In milliseconds, as is `drainTime`. */
  readonly interval: number;
  readonly rise: number;
  readonly fall: number;
  readonly drainTime: number;
  /** In seconds. */
  readonly ttl: number;
}

/** Keeps an endpoint in etcd until it is told to end. */
export async function registerEndpoint(
  context: CommandContext,
  service: string,
  flags: RegisterFlags,
): Promise<ExitCode> {
  const { namespace, rise, fall } = flags;
  const { endpoint, value, warnings } = endpointOf(service, flags);
  for (const warning of warnings) context.note(formatFault(warning));
  const { id } = endpoint;
  const check = parseCheck(flags.check, endpoint);
  const logger = await context.logger();
  const manager = connectServiceManager({ onProblem: (message) => logger.warn(message) });
  return withEtcd(flags, async (client, { prefix }) => {
    const registration = new Registration({
      ...{ client, check, logger, rise, fall, endpoint: value },
      key: `${prefix}/${formatEntryKey({ kind: "endpoint", namespace, service, id })}`,
      name: `${namespace}/${service} as ${id}`,
      intervalMs: flags.interval,
      drainMs: flags.drainTime,
      ttlSeconds: flags.ttl,
      onState: (state) => void manager.status(`${namespace}/${service} as ${id}: ${state}`),
    });
    const [stop, hurry] = [new AbortController(), new AbortController()];
    const end = () => {
      void manager.stopping();
      if (stop.signal.aborted) hurry.abort();
      stop.abort();
    };
    process.on("SIGTERM", end).on("SIGINT", end);
    try {
      await manager.ready(`${namespace}/${service} as ${id}: checking`);
      await registration.run({ stop: stop.signal, hurry: hurry.signal });
    } finally {
      process.off("SIGTERM", end).off("SIGINT", end);
      manager.close();
    }
    return 0;
  });
}

/** What is registered, as followers will read it. @throws InputError where they would refuse it */
function endpointOf(
  service: string,
  { namespace, address, host, id }: RegisterFlags,
): {
  readonly endpoint: RegisteredEndpoint;
  readonly value: { readonly address: string; readonly host?: string };
  readonly warnings: readonly Fault[];
} {
  const read = (as: string, text: string) => {
    const value = { address: text, ...(host === undefined ? {} : { host }) };
    const key = { kind: "endpoint", namespace, service, id: as } as const;
    const entry = loadEntry({ key, label: "--address", bytes: Buffer.from(JSON.stringify(value)) });
    return { ...readRegisteredEndpoint(entry), value };
  };
  const { endpoint } = read(id ?? address, address);
  const { port } = endpoint;
  const written = port === undefined ? endpoint.address : formatSocketAddress({ address: endpoint.address, port });
  return read(id ?? written, written);
}
