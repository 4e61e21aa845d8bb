import { type GivenRules, type HostRules, readRules, type TraceJson, traceToJson } from "@svcproxy/rules";
import { type Family, type HostPlan, planHost, type Service, type ServicePortPlan } from "@svcproxy/topology";
import type {
  ElementView,
  PageConnections,
  PageData,
  PageEvent,
  PagePacket,
  PageState,
  RuleView,
  ServiceState,
  ServiceView,
} from "../model.ts";
import { judgeService } from "./judge-service.ts";
import { ListedRules } from "./listed-rules.ts";
import { overviewOf, serviceId } from "./overview-of.ts";
import { HostTracer, requestOf } from "./trace-packet.ts";
import { viewService } from "./view-service.ts";
import type { Viewed, ViewedHost } from "./viewed.ts";

/** So long services are judged at a stretch: a page that is looked at has to answer, and an exported one to draw. */
const JUDGE_SLICE_MS = 8;
/** What was judged is told after this time: whoever is told has to sort all services anew. */
const TELL_MS = 200;

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

  async service(id: string): Promise<readonly ServiceView[]> {
    const service = this.#viewed.topology.services.find((candidate) => serviceId(candidate) === id);
    if (service === undefined) throw new Error(`There is no service ${id} any more`);
    const views = this.#viewed.hosts.map(({ name }) => this.#view(service, name));
    return views.map((view) => this.#withUnmet(view, views));
  }

  #view(service: Service, host: string): ServiceView {
    const { plan, tracer, viewed } = this.#engine(host);
    const view = viewService(service, { plan, tracer, hostState: viewed.hostState });
    if (viewed.rules === "none")
      return { ...view, rules: [], elements: [], rulesNote: `No rules of ${host} are known` };
    return view.rules.length > 0 ? view : { ...view, rulesNote: "No rule here takes a packet of this service" };
  }

  /** Adds what packets of other hosts meet, and which is here too. */
  #withUnmet(view: ServiceView, all: readonly ServiceView[]): ServiceView {
    const { listed, viewed } = this.#engine(view.host);
    const others = all.filter(({ host }) => host !== view.host);
    if (viewed.rules === "none" || others.length === 0) return view;
    const rules = new Set(view.rules.map(ruleKey));
    const elements = new Set(view.elements.map(elementKey));
    const unmet = { isUnmet: true } as const;
    return {
      ...view,
      rules: [
        ...view.rules,
        ...others.flatMap((other) =>
          other.rules.flatMap((rule): readonly RuleView[] => {
            const own = isNew(rules, ruleKey(rule)) ? listed.rule(rule) : undefined;
            return own === undefined ? [] : [{ ...own, ...unmet }];
          }),
        ),
      ],
      elements: [
        ...view.elements,
        ...others.flatMap((other) =>
          other.elements.flatMap((element): readonly ElementView[] => {
            const own = isNew(elements, elementKey(element)) ? listed.element(element) : undefined;
            return own === undefined ? [] : [{ ...own, ...unmet }];
          }),
        ),
      ],
    };
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
      const left = engine.portsByService().entries();
      let states: Record<string, ServiceState> = {};
      let tellAt = 0;
      for (let isDone = false; !isDone && !signal.aborted; ) {
        const judged = judgeSome(left, engine);
        Object.assign(states, judged.states);
        isDone = judged.isLast;
        if (isDone || performance.now() >= tellAt) {
          onEvent({ kind: "judged", host: viewed.name, states });
          states = {};
          tellAt = performance.now() + TELL_MS;
        }
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

/** Adds a key, and tells whether it was not there. */
function isNew(keys: Set<string>, key: string): boolean {
  if (keys.has(key)) return false;
  keys.add(key);
  return true;
}

function ruleKey({ family, table, chain, rule }: RuleView): string {
  return [family, table, chain, rule].join("\n");
}

function elementKey({ family, table, set, element }: ElementView): string {
  return [family, table, set, element].join("\n");
}

/** Takes services of `left`, for as long as a slice is. */
function judgeSome(
  left: Iterator<readonly [string, readonly ServicePortPlan[]], unknown>,
  { plan, tracer, viewed, judged }: EngineOfHost,
): { readonly states: Readonly<Record<string, ServiceState>>; readonly isLast: boolean } {
  const until = performance.now() + JUDGE_SLICE_MS;
  const states: Record<string, ServiceState> = {};
  do {
    const next = left.next();
    if (next.done === true) return { states, isLast: true };
    const [id, ports] = next.value;
    const state = judged.get(id) ?? judgeOne(() => judgeService(ports, { plan, hostState: viewed.hostState, tracer }));
    judged.set(id, state);
    states[id] = state;
  } while (performance.now() < until);
  return { states, isLast: false };
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
  /** How services stand, by `namespace/name`: who follows later need not wait for it again. */
  readonly judged = new Map<string, ServiceState>();
  readonly listed = new ListedRules((family) => this.#rulesOf(family));
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
