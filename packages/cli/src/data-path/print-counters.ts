import { type Counter, type PortCounters, readCounters } from "@svcproxy/nftables";
import { EnvironmentError, type Family, formatSocketAddress, parseIpAddress, parsePort } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import { renderTable } from "../command-line/text-table.ts";
import { type FamilyFlag, familiesOf } from "../flags/nftables-flags.ts";

export interface CountersFlags {
  readonly service?: string;
  readonly family?: FamilyFlag;
  readonly json?: true;
}

/** @throws EnvironmentError NOT_RUNNING where there is no table of ours */
export async function printCounters(context: CommandContext, flags: CountersFlags): Promise<ExitCode> {
  const { ports: all, unremembered, families } = await readCounters(familiesOf(flags.family) ?? [4, 6], context);
  if (families.length === 0) {
    throw new EnvironmentError("NOT_RUNNING", "Cannot read counters: this host has no nftables table of ours", {
      hint: "`svcproxy nftables apply` makes one",
    });
  }
  const ports = flags.service === undefined ? all : all.filter((port) => isOf(port, flags.service ?? ""));
  if (flags.json === true) await context.print(renderJson({ ports, unremembered }));
  else await context.print(`${countersTable(ports)}\n`);
  if (unremembered > 0) {
    context.note(`svcproxy: ${unremembered} new connections found no room in a map of session affinity`);
  }
  return 0;
}

function isOf({ service }: PortCounters, name: string): boolean {
  const [own] = service.split(" ");
  return own === (name.includes("/") ? name : `default/${name}`);
}

function countersTable(ports: readonly PortCounters[]): string {
  const isTraffic = ports.some(({ frontends }) => frontends.some(({ fromClients }) => fromClients !== undefined));
  const titles = ["SERVICE", "ADDRESS", "NEW", ...(isTraffic ? ["FROM CLIENTS", "TO CLIENTS"] : [])];
  const rows = ports.flatMap(({ service, family, frontends, endpoints }) => [
    ...frontends.map(({ address, protocol, port, connections, fromClients, toClients }) => [
      service,
      `${protocol} ${address === undefined ? nodePortText(port, family) : socketText(address, port)}`,
      String(connections),
      ...(isTraffic ? [counterText(fromClients), counterText(toClients)] : []),
    ]),
    ...endpoints.map(({ address, port, connections }) => [
      service,
      `-> ${socketText(address, port)}`,
      String(connections),
    ]),
  ]);
  return renderTable(titles, rows);
}

function nodePortText(port: number, family: Family): string {
  return `NodePort ${port} (IPv${family})`;
}

function socketText(address: string, port: number): string {
  const [parsed, parsedPort] = [parseIpAddress(address), parsePort(port)];
  if (parsed === undefined || parsedPort === undefined) return `${address} ${port}`;
  return formatSocketAddress({ address: parsed, port: parsedPort });
}

function counterText(counter: Counter | undefined): string {
  return counter === undefined ? "" : `${counter.packets} packets, ${counter.bytes} bytes`;
}
