import type { HostPlan } from "@svcproxy/topology";
import { type AnyRule, isProxyTable } from "../hooks/any-rule.ts";
import { hookStages } from "../hooks/hook-order.ts";
import { type HostRules, hostRulesOf } from "../hooks/host-rules.ts";
import type { HostState } from "../host/host-state.ts";
import { createRouter, type HostView } from "../host/routing.ts";
import type { FoundElement } from "../nft/trace/asked.ts";
import type { RulePosition, RuleSet } from "../rule-set.ts";
import { connectionOf, type Entry, enterHost } from "./packet/entry.ts";
import { ONE } from "./packet/fraction.ts";
import type { TraceRequest } from "./packet/request.ts";
import { intendedShare, type Share } from "./walk/intended-share.ts";
import type { EndAddress, Outcome } from "./walk/outcome.ts";
import { type ReplyPath, traceReply } from "./walk/reply-path.ts";
import { type ResolvedBranch, resolveBranches } from "./walk/resolve-branches.ts";
import type { ChainOrders, WalkContext } from "./walk/rule-visit.ts";
import { traceRefusal } from "./walk/trace-refusal.ts";
import { type UnservedPort, unservedPort } from "./walk/unserved-port.ts";
import { rerouteOutput, walkArriving, walkLocalOutput } from "./walk/walk-path.ts";
import { withOpenRefusal } from "./walk/written-header.ts";

export interface TracerOptions {
  /** Every rule of the host in the family that is traced, the built-in chains included. */
  readonly rules: RuleSet | HostRules;
  readonly hostState: HostState;
  /** What the host promises, where it is known: gives each branch its intended share. */
  readonly plan?: HostPlan;
  /** Whether a rule is the service proxy's own. Default: one that is in, or was reached by, a chain named KUBE-…. */
  readonly isOwn?: (position: RulePosition, rule: AnyRule, path: readonly string[]) => boolean;
  /** Whether sets of nftables that rules write as packets pass hold what was listed; else what is in them is not known. Default true. */
  readonly knowsDynamicSets?: boolean;
  /** A run of rules that did not match is told in one line when it is longer than this. Default 3. */
  readonly foldMissesAfter?: number;
  /** Is told each element of a named set or map of nftables that a packet's key is found at, again with each packet. */
  readonly onElement?: (found: FoundElement) => void;
}

/** Where one packet may go. */
export interface Trace {
  readonly request: TraceRequest;
  readonly entry: Entry;
  /** The likeliest first; their probabilities add up to 1. */
  readonly branches: readonly TracedBranch[];
  /** Where a VIP is dialled on a port that it does not have; undefined where there is no plan. */
  readonly unserved?: UnservedPort;
}

export type TracedBranch = ResolvedBranch & {
  /** What the plan intends for this endpoint; undefined where there is no plan or it promises nothing here. */
  readonly share?: Share;
  /** Undefined where nobody gets the packet. */
  readonly reply?: ReplyPath;
  /** Where its endpoint is translated to for who dials it straight: what was translated before does not meet that rule. */
  readonly missed?: EndAddress;
};

/** Follows packets through the rules of one host. Keeps what it learns about rules and routes between packets. */
export interface Tracer {
  /**
   * @param orders in which order chains of one priority are asked, where that is to be assumed
   * @throws InputError where the request makes no packet, or nobody can say where it comes in
   */
  trace(request: TraceRequest, orders?: ChainOrders): Trace;
}

/** Some seconds. */
const MAX_STEPS = 2_000_000;

/** A tracer of the rules of one host. What it learns about them is kept, so who follows many packets makes one. */
export function createTracer(options: TracerOptions): Tracer {
  const host: HostView = { state: options.hostState, router: createRouter(options.hostState) };
  const context: Omit<WalkContext, "budget"> = {
    host,
    stages: hookStages(hostRulesOf(options.rules)),
    knowsDynamicSets: options.knowsDynamicSets ?? true,
    isOwn: options.isOwn ?? isProxyRule,
    foldMissesAfter: options.foldMissesAfter ?? 3,
    onElement: options.onElement,
  };
  return {
    trace: (request, orders) => traceOne({ ...context, orders, budget: { left: MAX_STEPS } }, options.plan, request),
  };
}

/** Follows one packet, as the kernel would take it. @throws InputError as `Tracer.trace` */
export function tracePacket({ packet, ...options }: TracerOptions & { readonly packet: TraceRequest }): Trace {
  return createTracer(options).trace(packet);
}

function isProxyRule({ table }: RulePosition, _rule: AnyRule, path: readonly string[]): boolean {
  return isProxyTable(table) || path.some((chain) => chain.startsWith("KUBE-"));
}

function traceOne(context: WalkContext, plan: HostPlan | undefined, request: TraceRequest): Trace {
  const entry = enterHost(context.host, request);
  const passage = { context, connection: connectionOf(request), reroute: rerouteOutput(context) };
  const entering = { packet: entry.packet, probability: ONE, assumptions: undefined, past: undefined };
  const { ended } = entry.kind === "local" ? walkLocalOutput(passage, entering) : walkArriving(passage, entering);
  const branches = resolveBranches(ended.map(withOpenRefusal)).map((branch): TracedBranch => {
    if (branch.kind === "undecided") return branch;
    // A plan shares out new connections; what belongs to one goes where that went.
    const share =
      plan === undefined || (request.state ?? "NEW") !== "NEW"
        ? undefined
        : intendedShare(plan, { entry, router: context.host.router, branch });
    const reply = traceReply(context, branch.ended) ?? traceRefusal(context, branch.ended);
    const missed = missedTranslation(context, request, branch.outcome);
    return {
      ...branch,
      ...(missed === undefined ? {} : { missed }),
      ...(share === undefined ? {} : { share }),
      ...(reply === undefined ? {} : { reply }),
    };
  });
  const unserved =
    plan === undefined
      ? undefined
      : unservedPort(plan, { to: request.to, port: request.port, protocol: entry.packet.protocol });
  return { request, entry, branches, ...(unserved === undefined ? {} : { unserved }) };
}

/** A container's port may be reached by another program's translation alone, and a packet is translated once. */
function missedTranslation(
  context: WalkContext,
  request: TraceRequest,
  { endpoint, leftBy }: Outcome,
): EndAddress | undefined {
  const { address: to, ports } = endpoint ?? {};
  const isDialled = to === request.to && (ports === undefined || ports.from === request.port);
  if (to === undefined || ports === undefined || ports.from !== ports.to || isDialled || leftBy !== undefined)
    return undefined;
  const straight: TraceRequest = { ...request, to, port: ports.from };
  const entry = enterHost(context.host, straight);
  const passage = { context, connection: connectionOf(straight), reroute: rerouteOutput(context) };
  const entering = { packet: entry.packet, probability: ONE, assumptions: undefined, past: undefined };
  const { ended } = entry.kind === "local" ? walkLocalOutput(passage, entering) : walkArriving(passage, entering);
  const [first] = resolveBranches(ended);
  if (first?.kind !== "decided" || first.outcome.endpoint === undefined) return undefined;
  const { endpoint: other } = first.outcome;
  return other.address === to && other.ports?.from === ports.from ? undefined : other;
}
