import {
  EnvironmentError,
  type HostPlan,
  type IpAddress,
  type Problem,
  type ServicePortPlan,
} from "@svcproxy/topology";
import { type Census, censusOf, joinCensuses } from "../../data-path/census.ts";
import type {
  ApplyOptions,
  ApplyReport,
  CleanupReport,
  DataPath,
  DataPathSession,
  PlanDifference,
  ServicePortStatus,
} from "../../data-path/data-path.ts";
import type { Difference } from "../../data-path/difference.ts";
import type { Preserved } from "../../data-path/preserved.ts";
import { serviceName, servicePortStatuses } from "../../data-path/service-port-statuses.ts";
import type { DataPathHost } from "./data-path-host.ts";

/** Where a data path in memory writes: entries by name. Those of others have other names. */
export class MemoryEntries {
  readonly entries = new Map<string, string>();
  refused: readonly IpAddress[] | "everything" = [];

  /** Takes it as a whole, or not at all. */
  write(entries: ReadonlyMap<string, string | undefined>): void {
    for (const [name, text] of entries) {
      if (this.refused === "everything") throw new EnvironmentError("NEEDS_ROOT", "Cannot write: this needs root");
      if (this.refused.some((address) => text?.includes(JSON.stringify(address))))
        throw new EnvironmentError("RESTORE_REFUSED", `Cannot write ${name}: the machine refused it`);
    }
    for (const [name, text] of entries) {
      if (text === undefined) this.entries.delete(name);
      else this.entries.set(name, text);
    }
  }
}

const OURS = "ours ";

/** Carries plans out in memory: for tests of whoever keeps a data path. */
export class MemoryDataPath implements DataPath {
  readonly name = "iptables";
  readonly machine: MemoryEntries;

  constructor(machine = new MemoryEntries()) {
    this.machine = machine;
  }

  limitations(): readonly Problem[] {
    return [];
  }

  async compare(plan: HostPlan, { signal }: { readonly signal: AbortSignal }): Promise<PlanDifference> {
    throwIfInterrupted(signal);
    const wanted = new Map(plan.ports.map((port) => [placeOf(port), textOf(port)]));
    const found = ownEntries(this.machine);
    const differences = [...new Set([...wanted.keys(), ...found.keys()])].flatMap((place): Difference[] => {
      const kind = !found.has(place) ? "missing" : !wanted.has(place) ? "extra" : "changed";
      return wanted.get(place) === found.get(place) ? [] : [{ kind, place, text: `${place} is ${kind}` }];
    });
    return { differences, problems: [] };
  }

  async cleanup({ signal }: { readonly signal: AbortSignal }): Promise<CleanupReport> {
    throwIfInterrupted(signal);
    const removed = [...ownEntries(this.machine).keys()];
    this.machine.write(new Map(removed.map((name) => [name, undefined])));
    return { removed, problems: [] };
  }

  async census({ signal }: { readonly signal: AbortSignal }): Promise<Census> {
    throwIfInterrupted(signal);
    return joinCensuses([...ownEntries(this.machine).values()].map(censusIn));
  }

  async preserve(): Promise<Preserved | undefined> {
    const { machine } = this;
    const found = ownEntries(machine);
    if (found.size === 0) return undefined;
    return {
      foreignChanges: { kind: "polling" },
      async restore() {
        const now = ownEntries(machine);
        const names = new Set([...found.keys(), ...now.keys()].filter((name) => found.get(name) !== now.get(name)));
        machine.write(new Map([...names].map((name) => [name, found.get(name)])));
        return [...names].map((name) => ({ kind: "changed-entry", place: name, text: `${name} was another` }));
      },
    };
  }

  async open(signal: AbortSignal): Promise<DataPathSession> {
    throwIfInterrupted(signal);
    return new MemorySession(this.machine, signal);
  }
}

class MemorySession implements DataPathSession {
  readonly #machine: MemoryEntries;
  readonly #signal: AbortSignal;
  #written: ReadonlyMap<string, string> | undefined;
  #status: readonly ServicePortStatus[] = [];
  #plan: readonly ServicePortPlan[] = [];

  constructor(machine: MemoryEntries, signal: AbortSignal) {
    this.#machine = machine;
    this.#signal = signal;
  }

  async apply(plan: HostPlan, { changed }: ApplyOptions = {}): Promise<ApplyReport> {
    throwIfInterrupted(this.#signal);
    const found = ownEntries(this.#machine);
    const isKnown = this.#written !== undefined && equal(found, this.#written);
    const ports = changed === undefined || !isKnown ? plan.ports : this.#withChanged(plan.ports, changed);
    const failures = new Map<string, Problem>();
    let hasChanged = false;
    const differences: Difference[] = [];
    const byService = Map.groupBy(ports, serviceName);
    const gone = [...found.keys()].filter((place) => !ports.some((port) => placeOf(port) === place));
    const ofGone = (service: string) => gone.filter((place) => place.startsWith(`${OURS}${service} `));
    const services = new Set([...byService.keys(), ...gone.map((place) => place.split(" ")[1] ?? "")]);
    for (const service of services) {
      const wanted = new Map((byService.get(service) ?? []).map((port) => [placeOf(port), textOf(port)]));
      const writes = new Map<string, string | undefined>([
        ...ofGone(service).map((place) => [place, undefined] as const),
        ...[...wanted].filter(([place, text]) => found.get(place) !== text),
      ]);
      if (writes.size === 0) continue;
      try {
        this.#machine.write(writes);
        hasChanged = true;
        for (const place of writes.keys()) {
          differences.push({ kind: found.has(place) ? "changed" : "missing", place, text: `${place} was otherwise` });
        }
      } catch (error) {
        if (!(error instanceof EnvironmentError) || error.code !== "RESTORE_REFUSED") throw error;
        failures.set(service, {
          ...{ code: error.code, severity: "error", subject: `service ${service}`, text: error.message },
        });
      }
    }
    this.#written = ownEntries(this.#machine);
    this.#plan = ports;
    this.#status = servicePortStatuses({
      ...{ ports, before: this.#status, now: new Date() },
      shortfall(port) {
        const problem = failures.get(serviceName(port));
        return problem === undefined ? undefined : { state: "failed", problem };
      },
    });
    return { changed: hasChanged, problems: [...failures.values()], found: () => differences };
  }

  status(): readonly ServicePortStatus[] {
    return this.#status;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** The ports of the last plan, with those of services that changed, or failed, as the new plan has them. */
  #withChanged(ports: readonly ServicePortPlan[], changed: ReadonlySet<string>): readonly ServicePortPlan[] {
    const failed = new Set(this.#status.filter(({ state }) => state === "failed").map(({ service }) => service));
    const isNew = (port: ServicePortPlan) => changed.has(serviceName(port)) || failed.has(serviceName(port));
    const last = new Map(this.#plan.map((port) => [placeOf(port), port]));
    return ports.map((port) => (isNew(port) ? port : (last.get(placeOf(port)) ?? port)));
  }
}

function placeOf({ service: { namespace, name }, portIndex, family }: ServicePortPlan): string {
  return `${OURS}${namespace}/${name} ${portIndex} IPv${family}`;
}

/** What clients dial, who answers, and the rest. */
function textOf(port: ServicePortPlan): string {
  const { vips, answering, endpoints } = censusOf({ ports: [port] });
  return `${[...vips].join(" ")} | ${[...answering].join(" ")} | ${[...endpoints].join(" ")} | ${JSON.stringify(port.frontends)}`;
}

function censusIn(text: string): Census {
  const [vips, answering, endpoints] = text.split(" | ").map((words) => words.split(" ").filter((word) => word !== ""));
  return { vips: new Set(vips), answering: new Set(answering), endpoints: new Set(endpoints) };
}

function ownEntries({ entries }: MemoryEntries): ReadonlyMap<string, string> {
  return new Map([...entries].filter(([name]) => name.startsWith(OURS)));
}

function equal(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([name, text]) => b.get(name) === text);
}

function throwIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new EnvironmentError("INTERRUPTED", "Interrupted");
}

/** A machine in memory for the contract. */
export async function createMemoryHost(): Promise<DataPathHost & { readonly dataPath: MemoryDataPath }> {
  const machine = new MemoryEntries();
  return {
    dataPath: new MemoryDataPath(machine),
    dump: async () =>
      [...machine.entries]
        .map(([name, text]) => `${name}: ${text}\n`)
        .sort()
        .join(""),
    async addForeign() {
      machine.entries.set("theirs", "as it was");
    },
    async damage() {
      for (const name of machine.entries.keys()) {
        if (name.startsWith(`${OURS}default/web `)) machine.entries.set(name, "damaged");
      }
    },
    async wipe() {
      for (const name of machine.entries.keys()) if (name.startsWith(OURS)) machine.entries.delete(name);
    },
    async refuse(what) {
      machine.refused = what;
    },
    async [Symbol.asyncDispose]() {},
  };
}
