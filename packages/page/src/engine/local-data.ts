import { type GivenRules, type HostRules, readRules, type TraceJson, traceToJson } from "@svcproxy/rules";
import { type Family, type HostPlan, planHost, type Service, type ServicePortPlan } from "@svcproxy/topology";
import type {
  PageConnections,
  PageData,
  PageEvent,
  PagePacket,
  PageState,
  ServiceState,
  ServiceView,
} from "../model.ts";
import { judgeService } from "./judge-service.ts";
import { overviewOf, serviceId } from "./overview-of.ts";
import { HostTracer, requestOf } from "./trace-packet.ts";
import { viewService } from "./view-service.ts";
import type { Viewed, ViewedHost } from "./viewed.ts";

/** So long services are judged at a stretch: a page that is looked at has to answer. */
const JUDGE_SLICE_MS = 30;

/**
 * Answers what the page asks out of what was read: behind the page's server, and in an exported page itself. Rules are read when
 * something needs them.
 */
export class LocalData implements PageData {
  readonly #viewed: Viewed;
  readonly #hosts = new Map<string, EngineOfHost>();

  constructor(viewed: Viewed) {
    this.#viewed = viewed;
  }

  async state(): Promise<PageState> {
    return overviewOf(this.#viewed);
  }

  async service(host: string, id: string): Promise<ServiceView> {
    const service = this.#viewed.topology.services.find((candidate) => serviceId(candidate) === id);
    if (service === undefined) throw new Error(`There is no service ${id} any more`);
    const { plan, tracer, viewed } = this.#engine(host);
    const view = viewService(service, { plan, tracer, hostState: viewed.hostState });
    if (viewed.rules === "none") return { ...view, rules: [], rulesNote: `No rules of ${host} are known` };
    return view.rules.length > 0 ? view : { ...view, rulesNote: "No rule here takes a packet of this service" };
  }

  async trace(packet: PagePacket): Promise<TraceJson> {
    const request = requestOf(packet);
    return traceToJson(this.#engine(packet.host).tracer.trace(request));
  }

  async connections(_host: string, _id: string): Promise<PageConnections | undefined> {
    return undefined;
  }

  /** Tells how services stand as they are judged, host by host. */
  follow(onEvent: (event: PageEvent) => void): () => void {
    const stop = new AbortController();
    void this.#judgeAll(onEvent, stop.signal);
    return () => stop.abort();
  }

  async #judgeAll(onEvent: (event: PageEvent) => void, signal: AbortSignal): Promise<void> {
    for (const viewed of this.#viewed.hosts) {
      if (viewed.rules !== "read" || viewed.states !== undefined) continue;
      const engine = this.#engine(viewed.name);
      const left = [...engine.portsByService()];
      while (left.length > 0 && !signal.aborted) {
        onEvent({ kind: "judged", host: viewed.name, states: judgeSome(left, engine) });
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
  }

  #engine(name: string): EngineOfHost {
    const known = this.#hosts.get(name);
    if (known !== undefined) return known;
    const viewed = this.#viewed.hosts.find((candidate) => candidate.name === name);
    if (viewed === undefined) throw new Error(`Nothing is known of host ${name}`);
    const engine = new EngineOfHost(viewed, this.#viewed);
    this.#hosts.set(name, engine);
    return engine;
  }
}

/** Takes services from the front of `left`, for as long as a slice is. */
function judgeSome(
  left: (readonly [string, readonly ServicePortPlan[]])[],
  { plan, tracer, viewed }: EngineOfHost,
): Readonly<Record<string, ServiceState>> {
  const until = performance.now() + JUDGE_SLICE_MS;
  const judged: [string, ServiceState][] = [];
  do {
    const next = left.shift();
    if (next === undefined) break;
    const [id, ports] = next;
    judged.push([id, judgeOne(() => judgeService(ports, { plan, hostState: viewed.hostState, tracer }))]);
  } while (performance.now() < until);
  return Object.fromEntries(judged);
}

/** Rules that cannot be read are no reason to show nothing. */
function judgeOne(judge: () => ServiceState): ServiceState {
  try {
    return judge();
  } catch (error) {
    return { kind: "undecided", why: error instanceof Error ? error.message : String(error) };
  }
}

/** What is worked out of one host, each when it is needed. */
class EngineOfHost {
  readonly viewed: ViewedHost;
  readonly #all: Viewed;
  #plan: HostPlan | undefined;
  #tracer: HostTracer | undefined;
  #rules: GivenRules | undefined;

  constructor(viewed: ViewedHost, all: Viewed) {
    this.viewed = viewed;
    this.#all = all;
  }

  get plan(): HostPlan {
    const { name, machineAddresses } = this.viewed;
    this.#plan ??= planHost(this.#all.topology, { host: name, machineAddresses });
    return this.#plan;
  }

  get tracer(): HostTracer {
    this.#tracer ??= new HostTracer({
      host: this.viewed,
      plan: this.plan,
      rules: (family) => this.#rulesOf(family),
    });
    return this.#tracer;
  }

  portsByService(): ReadonlyMap<string, readonly ServicePortPlan[]> {
    const byService = new Map<Service, ServicePortPlan[]>();
    for (const port of this.plan.ports) {
      const ports = byService.get(port.service);
      if (ports === undefined) byService.set(port.service, [port]);
      else ports.push(port);
    }
    return new Map(Array.from(byService, ([service, ports]) => [serviceId(service), ports]));
  }

  #rulesOf(family: Family): HostRules {
    this.#rules ??= readRules(this.viewed.texts);
    return this.#rules.rules(family);
  }
}
