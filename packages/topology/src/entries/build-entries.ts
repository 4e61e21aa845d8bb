import type { Fault } from "../errors.ts";
import { buildTopology } from "../file/parse-topology.ts";
import type { RawService } from "../file/raw-topology.ts";
import type { NodeSettings, Topology } from "../model.ts";
import { FaultReport, type PathFault } from "../text/fault-report.ts";
import { locateFaults } from "../text/locate-faults.ts";
import type { SourceDocument } from "../text/source-document.ts";
import { type LoadedEntry, misnamedFault, valueWithName } from "./load-entry.ts";

/** What entries together make of a topology. */
export interface BuiltEntries extends Pick<Topology, "hosts" | "services"> {
  readonly settings: Partial<NodeSettings>;
  /** Errors and warnings, each with the entry that has it. */
  readonly faults: readonly EntryFault[];
}

export interface EntryFault {
  readonly entry: LoadedEntry;
  readonly fault: Fault;
}

/** Reads entries as one topology file; each fault is put down to an entry, and has its place in that entry's text. */
export function buildEntries(entries: readonly LoadedEntry[]): BuiltEntries {
  const hosts = entries.filter(({ key }) => key.kind === "host");
  const services = entries.filter(({ key }) => key.kind === "service");
  const settings = entries.find(({ key }) => key.kind === "settings");
  const whole: SourceDocument = {
    source: { file: "", text: "" },
    index: 0,
    value: {
      hosts: hosts.map(valueWithName),
      services: services.map(valueWithName),
      ...(settings === undefined ? {} : { node: settings.value }),
    },
  };
  const report = new FaultReport();
  const built = buildTopology(whole, report);
  const owners = new Owners({ hosts, services, settings });
  const placed = report.faults.flatMap((fault) => {
    const owned = owners.place(fault);
    return owned === undefined ? [] : [owned];
  });
  const located = locateFaults(placed.map(({ fault }) => fault));
  const misnamed = entries.flatMap((entry) => {
    const fault = misnamedFault(entry);
    return fault === undefined ? [] : [{ entry, fault }];
  });
  const faults = placed.flatMap(({ entry }, index) => {
    const fault = located[index];
    return fault === undefined ? [] : [{ entry, fault }];
  });
  return { ...built, faults: [...misnamed, ...faults] };
}

/** Whose part of the whole a path is. */
class Owners {
  readonly #lists: Readonly<Record<string, readonly LoadedEntry[]>>;
  readonly #settings: LoadedEntry | undefined;

  constructor({
    hosts,
    services,
    settings,
  }: {
    readonly hosts: readonly LoadedEntry[];
    readonly services: readonly LoadedEntry[];
    readonly settings: LoadedEntry | undefined;
  }) {
    this.#lists = { hosts, services };
    this.#settings = settings;
  }

  place(fault: PathFault): { readonly entry: LoadedEntry; readonly fault: PathFault } | undefined {
    const owned = this.#own(fault.place.path);
    if (owned === undefined) return undefined;
    const { entry, path } = owned;
    const { first: firstPlace, ...rest } = fault;
    const first = firstPlace === undefined ? undefined : this.#own(firstPlace.path);
    return {
      entry,
      fault: {
        ...rest,
        place: { ...fault.place, document: entry.document, path },
        ...(first === undefined ? {} : { first: { document: first.entry.document, path: first.path } }),
      },
    };
  }

  #own(path: readonly (string | number)[]) {
    const [list, index, ...rest] = path;
    if (list === "node" && this.#settings !== undefined) {
      return { entry: this.#settings, path: index === undefined ? rest : [index, ...rest] };
    }
    const entry = typeof list === "string" && typeof index === "number" ? this.#lists[list]?.[index] : undefined;
    return entry === undefined ? undefined : { entry, path: rest };
  }
}

/** What the model does not keep of a service, and whoever adds endpoints to it has to know. */
export function targetPortsOf({ value }: LoadedEntry): readonly (number | undefined)[] {
  // Only of entries that buildEntries found nothing wrong with.
  const { ports = [] } = value as RawService;
  return ports.map((port) => port?.targetPort);
}
