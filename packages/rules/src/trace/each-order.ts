import type { TraceRequest } from "./packet/request.ts";
import type { Trace, TracedBranch, Tracer } from "./trace-packet.ts";
import type { Given } from "./walk/resolve-branches.ts";
import type { ChainOrders } from "./walk/rule-visit.ts";
import type { Question } from "./walk/walk-state.ts";

/** What becomes of a packet, with chains of one priority in one of their orders. */
export interface InOneOrder {
  readonly trace: Trace;
  /** Why the order is not known; undefined where none matters. */
  readonly because?: string;
  /** What is assumed: `nat POSTROUTING is asked before ip kube-proxy nat-postrouting`. */
  readonly assumed: readonly string[];
}

/** With more orders than these, none is looked at. */
const MOST_ORDERS = 24;

interface Assumed {
  readonly orders: ChainOrders;
  readonly texts: readonly string[];
}

/**
 * Follows a packet once in each order of the chains that the kernel may ask in one or another: once, where it hangs on none, or on too many.
 *
 * @throws InputError as `Tracer.trace`
 */
export function traceInEachOrder(tracer: Tracer, request: TraceRequest): readonly InOneOrder[] {
  const whole = tracer.trace(request);
  const first = openOrder(whole, new Map());
  if (first === undefined) return [{ trace: whole, assumed: [] }];
  const found: InOneOrder[] = [];
  const work: Assumed[] = [{ orders: new Map(), texts: [] }];
  for (let assumed = work.pop(); assumed !== undefined; assumed = work.pop()) {
    const { orders, texts } = assumed;
    const trace = orders.size === 0 ? whole : tracer.trace(request, orders);
    const question = openOrder(trace, orders);
    if (question === undefined) found.push({ trace, because: first.because, assumed: texts });
    else
      for (const [answer, text] of (question.orders ?? []).entries())
        work.push({ orders: new Map(orders).set(question.because, answer), texts: [...texts, text] });
    if (found.length + work.length > MOST_ORDERS) return [{ trace: whole, assumed: [] }];
  }
  return found.toReversed();
}

/** The first order on which a trace hangs, and that is not assumed yet. */
function openOrder({ branches }: Trace, assumed: ChainOrders): Question | undefined {
  return branches.flatMap(questionsOf).find(({ orders, because }) => orders !== undefined && !assumed.has(because));
}

function questionsOf(branch: TracedBranch): readonly Question[] {
  if (branch.kind === "decided") return [];
  return [branch.question, ...branch.possible.flatMap(({ given }) => askedBy(given))];
}

function askedBy(given: Given): readonly Question[] {
  return [given.question, ...(given.later === undefined ? [] : askedBy(given.later))];
}
