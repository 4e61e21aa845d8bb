import {
  type Family,
  type Frontend,
  familyOf,
  findInPorts,
  type HostPlan,
  type IpAddress,
  type Problem,
  type ServicePortPlan,
  visible,
} from "@svcproxy/topology";
import { serviceName, servicePortKey } from "../data-path/service-port-statuses.ts";
import type { Listener, PortHolder } from "./listeners.ts";
import type { Machine } from "./machine.ts";
import { ownProxyPids } from "./own-proxy.ts";
import { RecentListeners } from "./recent-listeners.ts";

export interface TakenPortsOptions {
  readonly machine: Pick<Machine, "readListeners" | "readHolders">;
  /** NodePorts that are served whoever listens on them. */
  readonly takePorts?: ReadonlySet<number> | undefined;
  /** Who may listen on them: the userspace proxy that the rules take over from, by default. */
  readonly ownPids?: () => Promise<ReadonlySet<number>>;
  /** What was read a moment ago will do. Default: it is read now. */
  readonly recent?: RecentListeners | undefined;
  /** Whether NodePorts are served on loopback as well, whatever the plan says. */
  readonly takesLoopback?: boolean;
}

export interface PlanWithoutTaken {
  /** The same plan where nothing is taken. */
  readonly plan: HostPlan;
  /** The ports that lack their NodePort, and why. */
  readonly taken: TakenNodePorts;
}

/** By `servicePortKey`. */
export type TakenNodePorts = ReadonlyMap<string, Problem>;

/**
 * A plan without the NodePorts that programs of this machine listen on: rules would take such a port away from its program, be it
 * the SSH server, without a word.
 */
export async function withoutTakenNodePorts(plan: HostPlan, options: TakenPortsOptions): Promise<PlanWithoutTaken> {
  const { machine, takePorts = new Set(), ownPids = ownProxyPids, recent = new RecentListeners() } = options;
  const wanted = new Set(nodePortsOf(plan));
  for (const port of takePorts) wanted.delete(port);
  if (wanted.size === 0) return { plan, taken: new Map() };
  const listeners = (await recent.read(machine, wanted)).filter(({ port }) => wanted.has(port));
  if (listeners.length === 0) return { plan, taken: new Map() };
  const found = plan.ports.map((planned) => ({ planned, listener: findListener(planned, { ...options, listeners }) }));
  const inodes = new Set(found.flatMap(({ listener }) => (listener === undefined ? [] : [listener.inode])));
  if (inodes.size === 0) return { plan, taken: new Map() };
  // Asked first: a proxy that ends meanwhile was ours.
  const own = await ownPids();
  const holders = await machine.readHolders(inodes);
  const isClosed = await closedMeanwhile(machine, inodes, holders);
  const taken = new Map<string, Problem>();
  const ports = found.map(({ planned, listener }) => {
    const holder = listener === undefined ? undefined : holders.get(listener.inode);
    if (listener === undefined || (holder === undefined ? isClosed(listener.inode) : own.has(holder.pid)))
      return planned;
    taken.set(servicePortKey(planned), takenProblem(planned, { listener, holder }));
    return withoutNodePort(planned);
  });
  return { plan: { ...plan, ports }, taken };
}

/** A socket that nobody was found for may be one that was closed after it was listed, as those of a proxy are that rules take over from. */
async function closedMeanwhile(
  machine: Pick<Machine, "readListeners">,
  inodes: ReadonlySet<Listener["inode"]>,
  holders: ReadonlyMap<Listener["inode"], PortHolder>,
): Promise<(inode: Listener["inode"]) => boolean> {
  if ([...inodes].every((inode) => holders.has(inode))) return () => false;
  const open = new Set((await machine.readListeners()).map(({ inode }) => inode));
  return (inode) => !open.has(inode);
}

const nodePortsOf = findInPorts(({ port: { nodePort }, frontends }) =>
  nodePort === undefined ? NONE : frontends.filter(isNodePort).map(({ port }) => Number(port)),
);

const NONE: readonly number[] = [];

const stripped = new WeakMap<ServicePortPlan, ServicePortPlan>();

/** The same object for the same port: who compares plans sees that it has not changed. */
function withoutNodePort(planned: ServicePortPlan): ServicePortPlan {
  const known = stripped.get(planned);
  if (known !== undefined) return known;
  const without = { ...planned, frontends: planned.frontends.filter((frontend) => !isNodePort(frontend)) };
  stripped.set(planned, without);
  return without;
}

function isNodePort({ kind }: Frontend): boolean {
  return kind === "nodePort";
}

function findListener(
  { port, family, frontends }: ServicePortPlan,
  { listeners, takesLoopback = false }: TakenPortsOptions & { readonly listeners: readonly Listener[] },
): Listener | undefined {
  const frontend = frontends.find(isNodePort);
  if (frontend === undefined) return undefined;
  return listeners.find(
    ({ protocol, port: number, address }) =>
      protocol === port.protocol && number === frontend.port && isServed(address, { family, frontend, takesLoopback }),
  );
}

/** One for each NodePort, whatever the families. */
export function problemsOfTaken(taken: TakenNodePorts): readonly Problem[] {
  return [...new Map([...taken.values()].map((problem) => [problem.subject, problem])).values()];
}

/** The services (`namespace/name`) whose NodePorts came to be taken, or no longer are. */
export function servicesThatMoved(before: TakenNodePorts, after: TakenNodePorts): ReadonlySet<string> {
  const moved = [...before.keys(), ...after.keys()].filter((key) => before.has(key) !== after.has(key));
  return new Set(moved.map((key) => key.slice(0, key.indexOf(" "))));
}

/** Whether what listens on an address would lose packets to the NodePort. */
function isServed(
  address: IpAddress,
  { family, frontend, takesLoopback }: { family: Family; frontend: Frontend; takesLoopback: boolean },
): boolean {
  const { addresses, everyHostAddress } = frontend;
  // A socket of `::` may take IPv4 as well.
  if (address === "::") return true;
  if (familyOf(address) !== family) return false;
  if (address === "0.0.0.0") return true;
  if (isLoopback(address)) return takesLoopback || addresses.some(isLoopback);
  return everyHostAddress || addresses.includes(address);
}

function isLoopback(address: IpAddress): boolean {
  return address.startsWith("127.") || address === "::1";
}

function takenProblem(
  planned: ServicePortPlan,
  { listener, holder }: { readonly listener: Listener; readonly holder: PortHolder | undefined },
): Problem {
  const { protocol, port, address } = listener;
  const program =
    holder === undefined ? "a program that this user may not see" : `${visible(holder.command)} (pid ${holder.pid})`;
  return {
    code: "NODE_PORT_TAKEN",
    severity: "error",
    subject: `NodePort ${port}/${protocol} of ${serviceName(planned)}`,
    text: `NodePort ${port}/${protocol} of ${serviceName(planned)} is left out, because ${program} listens on it: ${at(address, port)}`,
    hint: `Give the service another NodePort, or take this one away from the program with --take-port ${port}`,
  };
}

function at(address: IpAddress, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
