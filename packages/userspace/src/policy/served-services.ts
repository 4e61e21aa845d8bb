import { setImmediate as nextTurn } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { serviceName } from "@svcproxy/host";
import type { HostPlan } from "@svcproxy/topology";
import type { FrontendPlace } from "../proxy-status.ts";
import { compileService, type ServedService } from "./compile-service.ts";
import type { FrontendSpec, ListedEndpoint } from "./frontend-spec.ts";

/** How one update changed what is served. */
export interface ServedChange {
  /** New, or otherwise than before. */
  readonly frontends: readonly FrontendSpec[];
  readonly goneFrontends: readonly FrontendSpec[];
  /** New, or otherwise than before. */
  readonly endpoints: readonly ListedEndpoint[];
  readonly goneEndpoints: readonly ListedEndpoint[];
}

/** So long this process does nothing else: connections wait meanwhile. */
const LONGEST_TURN_MS = 10;

/** What is served of a plan, service by service, so that a small change costs little. */
export class ServedServices {
  /** In the plan's order. */
  #services: ReadonlyMap<string, ServedService> = new Map();
  readonly #frontends = new KeyedByService<FrontendSpec>();
  readonly #endpoints = new KeyedByService<ServedService["endpoints"][number]>();

  /**
   * Takes over what a plan has of these services, or of all.
   *
   * @param changed `namespace/name` of those that may be otherwise than before; those that came or went are looked at anyway
   */
  async update({ ports }: Pick<HostPlan, "ports">, changed?: ReadonlySet<string>): Promise<ServedChange> {
    const planned = Map.groupBy(ports, serviceName);
    const before = this.#services;
    const services = new Map<string, ServedService>();
    const touched: ServedService[] = [];
    let turnEndsAtMs = performance.now() + LONGEST_TURN_MS;
    for (const [name, ofService] of planned) {
      const known = before.get(name);
      const maybeChanged = known === undefined || changed === undefined || changed.has(name);
      const compiled = maybeChanged ? compileService(ofService) : known;
      const served = known !== undefined && isDeepStrictEqual(known, compiled) ? known : compiled;
      services.set(name, served);
      if (served !== known) touched.push(...(known === undefined ? [served] : [known, served]));
      if (performance.now() < turnEndsAtMs) continue;
      await nextTurn();
      turnEndsAtMs = performance.now() + LONGEST_TURN_MS;
    }
    for (const [name, served] of before) if (!services.has(name)) touched.push(served);
    return this.#replace(services, touched);
  }

  #replace(services: ReadonlyMap<string, ServedService>, touched: readonly ServedService[]): ServedChange {
    const frontendKeys = new Set(touched.flatMap(({ frontends }) => frontends.map(({ key }) => key)));
    const endpointKeys = new Set(touched.flatMap(({ endpoints }) => endpoints.map(({ key }) => key)));
    const frontendsBefore = new Map([...frontendKeys].map((key) => [key, this.frontend(key)]));
    const endpointsBefore = new Map([...endpointKeys].map((key) => [key, this.endpoint(key)]));
    for (const [name, served] of this.#services) {
      if (services.get(name) === served) continue;
      this.#frontends.remove(name, served.frontends);
      this.#endpoints.remove(name, served.endpoints);
    }
    for (const [name, served] of services) {
      if (this.#services.get(name) === served) continue;
      this.#frontends.add(name, served.frontends);
      this.#endpoints.add(name, served.endpoints);
    }
    this.#services = services;
    const frontends = differencesOf(frontendsBefore, (key) => this.frontend(key));
    const endpoints = differencesOf(endpointsBefore, (key) => this.endpoint(key));
    return {
      frontends: frontends.now,
      goneFrontends: frontends.gone,
      endpoints: endpoints.now,
      goneEndpoints: endpoints.gone,
    };
  }

  /** Where two services want the same address and port, the first of the plan has it. */
  frontend(key: string): FrontendSpec | undefined {
    const wanted = this.#frontends.get(key);
    if (wanted.size <= 1) return wanted.values().next().value;
    for (const name of this.#services.keys()) {
      const spec = wanted.get(name);
      if (spec !== undefined) return spec;
    }
    return undefined;
  }

  endpoint(key: string): ListedEndpoint | undefined {
    const listed = this.#endpoints.get(key);
    const first = listed.values().next().value;
    return first === undefined ? undefined : { ...first, services: [...listed.keys()].sort() };
  }

  /** In the plan's order, each key once. */
  frontends(): readonly FrontendSpec[] {
    const all = [...this.#services.values()].flatMap(({ frontends }) => frontends);
    return all.filter((spec) => this.frontend(spec.key) === spec);
  }

  endpoints(): readonly ListedEndpoint[] {
    return this.#endpoints.keys().flatMap((key) => this.endpoint(key) ?? []);
  }

  /** What nobody can serve in userspace. */
  unsupported(): readonly FrontendPlace[] {
    return [...this.#services.values()].flatMap(({ unsupported }) => unsupported);
  }
}

/** Things with a key, and the services that have them. */
class KeyedByService<Item extends { readonly key: string }> {
  readonly #items = new Map<string, Map<string, Item>>();

  add(service: string, items: readonly Item[]): void {
    for (const item of items) {
      const known = this.#items.get(item.key);
      if (known === undefined) this.#items.set(item.key, new Map([[service, item]]));
      else known.set(service, item);
    }
  }

  remove(service: string, items: readonly Item[]): void {
    for (const { key } of items) {
      const known = this.#items.get(key);
      known?.delete(service);
      if (known?.size === 0) this.#items.delete(key);
    }
  }

  /** By service. */
  get(key: string): ReadonlyMap<string, Item> {
    return this.#items.get(key) ?? new Map<string, Item>();
  }

  keys(): readonly string[] {
    return [...this.#items.keys()];
  }
}

function differencesOf<Item>(
  before: ReadonlyMap<string, Item | undefined>,
  look: (key: string) => Item | undefined,
): { readonly now: readonly Item[]; readonly gone: readonly Item[] } {
  const now: Item[] = [];
  const gone: Item[] = [];
  for (const [key, item] of before) {
    const found = look(key);
    if (found === undefined) {
      if (item !== undefined) gone.push(item);
    } else if (!isDeepStrictEqual(found, item)) now.push(found);
  }
  return { now, gone };
}
