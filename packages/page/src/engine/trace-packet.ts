import {
  createTracer,
  type FoundElement,
  type HostRules,
  type InOneOrder,
  type Trace,
  type TraceRequest,
  type Tracer,
  traceInEachOrder,
} from "@svcproxy/rules";
import { type Family, familyOf, type HostPlan, parseIpAddress } from "@svcproxy/topology";
import type { PagePacket } from "../model.ts";
import type { ViewedHost } from "./viewed.ts";

/** Follows packets through the rules of one host; what is learnt of its rules is kept. */
export class HostTracer {
  readonly #host: ViewedHost;
  readonly #plan: HostPlan;
  readonly #rules: (family: Family) => HostRules;
  readonly #tracers = new Map<Family, Tracer>();
  #onElement: ((found: FoundElement) => void) | undefined;

  constructor({ host, plan, rules }: { host: ViewedHost; plan: HostPlan; rules: (family: Family) => HostRules }) {
    this.#host = host;
    this.#plan = plan;
    this.#rules = rules;
  }

  /**
   * @param onElement is told each element of a named set or map of nftables at which the packet is found
   * @throws InputError where nobody can say how it comes in
   */
  trace(request: TraceRequest, onElement?: (found: FoundElement) => void): Trace {
    this.#onElement = onElement;
    return this.#tracer(familyOf(request.from)).trace(request);
  }

  /** Once in each order of chains on which it hangs. @throws InputError as `trace` */
  traceInEachOrder(request: TraceRequest): readonly InOneOrder[] {
    this.#onElement = undefined;
    return traceInEachOrder(this.#tracer(familyOf(request.from)), request);
  }

  #tracer(family: Family): Tracer {
    const known = this.#tracers.get(family);
    if (known !== undefined) return known;
    const tracer = createTracer({
      rules: this.#rules(family),
      hostState: this.#host.hostState,
      plan: this.#plan,
      onElement: (found) => this.#onElement?.(found),
    });
    this.#tracers.set(family, tracer);
    return tracer;
  }
}

/** @throws Error with a sentence for people */
export function requestOf({ from, to, port, protocol }: PagePacket): TraceRequest {
  const [source, destination] = [from, to].map((text) => {
    const address = parseIpAddress(text.trim());
    if (address === undefined) throw new Error(`"${text}" is not an IP address`);
    return address;
  });
  if (source === undefined || destination === undefined) throw new Error("Name who sends the packet, and to whom");
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port <= 65_535))
    throw new Error(`${port} is not a port: ports go from 1 to 65535`);
  return { from: source, to: destination, protocol, ...(port === undefined ? {} : { port }) };
}
