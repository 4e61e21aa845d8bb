import { type HostState, type InOneOrder, type Trace, type TracedBranch, toNumber } from "@svcproxy/rules";
import {
  type ClientKind,
  type Endpoint,
  type Handling,
  type HostPlan,
  InputError,
  type ServicePortPlan,
} from "@svcproxy/topology";
import type { PagePacket, ServiceState } from "../model.ts";
import { chooseClient } from "./choose-client.ts";
import type { HostTracer } from "./trace-packet.ts";
import { CLIENT_KINDS } from "./view-service.ts";

/** How far shares may be from equal: iptables writes them with so many digits. */
const SHARE_TOLERANCE = 1e-6;

/**
 * Whether a host's rules serve a service as planned: one address of each frontend is followed from a client of each kind.
 * Whether sources are rewritten as they should be is for `svcproxy prove`.
 *
 * @param ports all of the service's
 */
export function judgeService(
  ports: readonly ServicePortPlan[],
  { plan, hostState, tracer }: { readonly plan: HostPlan; readonly hostState: HostState; readonly tracer: HostTracer },
): ServiceState {
  let undecided: ServiceState | undefined;
  for (const port of ports) {
    for (const frontend of port.frontends) {
      for (const kind of CLIENT_KINDS) {
        if (frontend.kind === "clusterIP" && kind === "outside") continue; // nothing is promised there
        const from = chooseClient(kind, { plan, hostState, family: port.family, frontend });
        const to = frontend.addresses.find((address) => address !== "::1" && !address.startsWith("127."));
        if (from === undefined || to === undefined) continue;
        const dial = { from, to, port: frontend.port, protocol: port.port.protocol.toLowerCase() };
        const judged = judgeOrders(() => tracer.traceInEachOrder(dial), frontend.clients[kind]);
        const state = describe(judged, { kind, packet: { host: plan.host.name, ...dial } });
        if (state?.kind === "failed") return state;
        undecided ??= state;
      }
    }
  }
  return undecided ?? { kind: "in-force" };
}

/** Whether no client of that kind can come in on this machine. */
function isNoWayIn(error: unknown): boolean {
  return error instanceof InputError && error.faults.every(({ code }) => code === "NO_WAY_IN");
}

type Judged =
  | { readonly kind: "kept" }
  | { readonly kind: "undecided"; readonly why: string }
  | { readonly kind: "broken"; readonly why: string };

const KEPT: Judged = { kind: "kept" };

/** Where some chains may be asked in one order or another: kept, or broken, where it is in each. */
function judgeOrders(follow: () => readonly InOneOrder[], wanted: Handling): Judged {
  let orders: readonly InOneOrder[];
  try {
    orders = follow();
  } catch (error) {
    if (isNoWayIn(error)) return KEPT;
    throw error;
  }
  const [first, ...others] = orders.map(({ trace }) => judgeTrace(trace, wanted));
  if (first === undefined || others.every(({ kind }) => kind === first.kind)) return first ?? KEPT;
  return { kind: "undecided", why: orders[0]?.because ?? "" };
}

function judgeTrace(trace: Trace, wanted: Handling): Judged {
  const given = new Map<string, number>();
  let undecided: Judged | undefined;
  for (const branch of trace.branches) {
    const judged = judgeBranch(branch, wanted);
    if (judged.kind === "broken") return judged;
    if (judged.kind === "undecided") undecided ??= judged;
    const endpoint = branch.kind === "decided" ? branch.outcome.endpoint : undefined;
    const key = endpointKey(endpoint?.address, endpoint?.ports?.from);
    given.set(key, (given.get(key) ?? 0) + toNumber(branch.probability));
  }
  if (undecided !== undefined || wanted.kind !== "forward") return undecided ?? KEPT;
  return judgeShares(given, wanted.endpoints);
}

function judgeBranch(branch: TracedBranch, wanted: Handling): Judged {
  if (branch.kind === "undecided") return { kind: "undecided", why: branch.question.because };
  const { verdict, because, destination } = branch.outcome;
  switch (verdict) {
    case "undecided":
      return { kind: "undecided", why: because };
    case "dropped":
    case "refused": {
      const isMeant = wanted.kind === (verdict === "dropped" ? "drop" : "refuse");
      return isMeant ? KEPT : { kind: "broken", why: `${verdict}: ${because}` };
    }
    default:
      if (wanted.kind === "forward")
        return branch.reply?.returns === false
          ? { kind: "broken", why: `the answer is lost: ${branch.reply.because}` }
          : KEPT;
      return { kind: "broken", why: `goes to ${destination.address}, and nobody is to serve it` };
  }
}

function judgeShares(given: ReadonlyMap<string, number>, endpoints: readonly Endpoint[]): Judged {
  const meant = new Set(endpoints.map(({ address, port }) => endpointKey(address, port)));
  const stray = [...given.keys()].find((key) => !meant.has(key));
  if (stray !== undefined) return { kind: "broken", why: `goes to ${stray}, which is not an endpoint of it` };
  for (const key of meant) {
    const share = given.get(key) ?? 0;
    if (Math.abs(share - 1 / meant.size) > SHARE_TOLERANCE)
      return {
        kind: "broken",
        why: `${key} gets ${percent(share)} of the connections, not ${percent(1 / meant.size)}`,
      };
  }
  return KEPT;
}

function endpointKey(address = "nobody", port: number | undefined): string {
  if (port === undefined) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}

const CLIENTS: Readonly<Record<ClientKind, string>> = { pod: "a pod", host: "the host itself", outside: "outside" };

function describe(
  judged: Judged,
  { kind, packet }: { readonly kind: ClientKind; readonly packet: PagePacket },
): ServiceState | undefined {
  if (judged.kind === "kept") return undefined;
  const dialled = `From ${CLIENTS[kind]} to ${endpointKey(packet.to, packet.port)}`;
  return {
    kind: judged.kind === "broken" ? "failed" : "undecided",
    why: `${dialled}: ${judged.why}`,
    shownBy: { packet, dialled, because: judged.why },
  };
}
