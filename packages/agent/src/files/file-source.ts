import {
  type Cidr,
  type Fault,
  InputError,
  type InputFile,
  inputError,
  type LoadedDocuments,
  loadInput,
  type ParsedProxyConfiguration,
  type ParsedTopology,
  parseProxyConfiguration,
  problemOf,
  readInput,
  type Topology,
} from "@svcproxy/topology";
import { shareUnchanged } from "../share-unchanged.ts";
import type { Source, SourceEvent } from "../source.ts";
import { type ChangeHint, ChangeNotices, type WatchedFolder } from "./change-notices.ts";
import { FollowedPath, joinFolders, type Loaded, type LookOptions } from "./followed-path.ts";

export interface FileSourceOptions {
  /** Topology files or Kubernetes objects: files and directories by path, or what was read already (stdin), which stays as it is. */
  readonly inputs: readonly (string | InputFile)[];
  /** A KubeProxyConfiguration, whose settings go over those of the topology. */
  readonly config?: string;
  /** Blocks whose addresses a Service of Kubernetes may claim as externalIPs; none: nobody may. */
  readonly allowExternalIPs?: readonly Cidr[];
  /** Follows them; else they are read once, and again with each `refresh`. */
  readonly watch: boolean;
  /** How long a file that was written in place has to stay as it is before it is read: editors and copies write in steps. */
  readonly settleMs?: number;
  /** How often to look without being told: network file systems and full inotify tables tell nothing. */
  readonly pollMs?: number;
  /** How many Kubernetes objects of each kind say nothing about services. */
  readonly onPassedOver?: (counts: ReadonlyMap<string, number>) => void;
}

const SETTLE_MS = 100;
const POLL_MS = 2_000;
/** Looking without being told costs at most this part of a core. */
const POLL_SHARE = 0.002;
/** Looking because one was told, at most this: somebody may write all the time. */
const NOTICED_SHARE = 0.1;

/**
 * Topology files, or files of Kubernetes objects, followed by their paths: written in place, replaced by rename (editors, `kubectl`,
 * atomic writers), removed and made again, or reached through symbolic links of which one is swapped (Kubernetes' ConfigMap volumes).
 */
export class FileSource implements Source {
  readonly name: string;
  readonly #options: FileSourceOptions;
  readonly #inputs: readonly (FollowedPath<LoadedDocuments> | InputFile)[];
  readonly #config: FollowedPath<ParsedProxyConfiguration> | undefined;
  readonly #notices = new ChangeNotices();
  #refreshed = false;
  /** The last state that was told, and the last topology that could be read. */
  #told: { readonly signature: string; readonly topology: Topology | undefined } | undefined;

  constructor(options: FileSourceOptions) {
    const { inputs, config } = options;
    this.name = inputs.map((input) => (typeof input === "string" ? input : input.file)).join(" ");
    this.#options = options;
    this.#inputs = inputs.map((input) =>
      typeof input === "string" ? new FollowedPath(input, loadDocumentsOf) : input,
    );
    this.#config = config === undefined ? undefined : new FollowedPath(config, loadConfiguration);
  }

  /** Looks now, and tells the state anew whether it has changed or not. */
  refresh(): void {
    this.#refreshed = true;
    this.#notices.say("anything");
  }

  async *follow(signal: AbortSignal): AsyncGenerator<SourceEvent, void, undefined> {
    const { watch, settleMs = SETTLE_MS, pollMs = POLL_MS } = this.#options;
    using notices = this.#notices;
    let hint: ChangeHint | undefined = "anything";
    let fullLookMs = 0;
    while (hint !== undefined && !signal.aborted) {
      const startedAtMs = performance.now();
      // Before the files are read, so that no change is missed in between.
      if (watch && hint === "anything") notices.watch(await this.#folders());
      const unsettledMs = await this.#look({
        hint,
        settleMs: this.#told === undefined ? 0 : settleMs,
        cameWhole: (name) => notices.cameWhole(name),
      });
      const tookMs = performance.now() - startedAtMs;
      if (hint === "anything") fullLookMs = tookMs;
      const event = unsettledMs > 0 ? undefined : this.#tell();
      if (event !== undefined && !signal.aborted) yield event;
      if (unsettledMs > 0) notices.say(hint);
      hint = await notices.next({
        signal,
        leastMs: Math.max(unsettledMs, tookMs / NOTICED_SHARE),
        ...(watch ? { mostMs: Math.max(pollMs, fullLookMs / POLL_SHARE) } : {}),
      });
    }
  }

  get #paths(): readonly (FollowedPath<LoadedDocuments> | FollowedPath<ParsedProxyConfiguration>)[] {
    const followed = this.#inputs.filter((input) => input instanceof FollowedPath);
    return this.#config === undefined ? followed : [...followed, this.#config];
  }

  async #folders(): Promise<ReadonlyMap<string, WatchedFolder>> {
    const folders = new Map<string, WatchedFolder>();
    for (const path of this.#paths) {
      for (const [identity, folder] of await path.folders()) {
        folders.set(identity, joinFolders(folder, folders.get(identity)));
      }
    }
    return folders;
  }

  async #look(options: LookOptions): Promise<number> {
    let unsettledMs = 0;
    for (const path of this.#paths) unsettledMs = Math.max(unsettledMs, await path.look(options));
    return unsettledMs;
  }

  /** What is to be said of the state as it is; undefined where it was said already. */
  #tell(): SourceEvent | undefined {
    const signature = JSON.stringify(this.#paths.map((path) => path.signature()));
    if (this.#told?.signature === signature && !this.#refreshed) return undefined;
    this.#refreshed = false;
    const before = this.#told?.topology;
    try {
      const { topology: after, warnings } = this.#parse();
      const { topology, changed } = shareUnchanged(after, before);
      this.#told = { signature, topology };
      return { kind: "snapshot", topology, changed, warnings: warnings.map(problemOf), complete: true };
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#told = { signature, topology: before };
      const [first, ...others] = error.faults;
      return { kind: "problem", problems: [problemOf(first), ...others.map(problemOf)], error };
    }
  }

  /** @throws InputError with every fault */
  #parse(): ParsedTopology {
    const { allowExternalIPs = [], onPassedOver } = this.#options;
    const configuration = this.#configuration();
    const { passedOver, ...parsed } = readInput(this.#documents(), {
      allowExternalIPs,
      ...(configuration === undefined ? {} : { configuration }),
    });
    if (passedOver.size > 0) onPassedOver?.(passedOver);
    return parsed;
  }

  /** @throws InputError SEVERAL_CONFIGURATIONS, or with the faults of the file */
  #configuration(): ParsedProxyConfiguration | undefined {
    if (this.#config === undefined) return undefined;
    const [configuration, another] = this.#config.values();
    if (configuration === undefined || another !== undefined) {
      const message = `--config takes one file, and ${JSON.stringify(this.#config.name)} holds more`;
      throw inputError("SEVERAL_CONFIGURATIONS", message);
    }
    return configuration;
  }

  /** Of all inputs, in their order. */
  #documents(): LoadedDocuments {
    const loaded: LoadedDocuments[] = [];
    const failures: Fault[] = [];
    for (const input of this.#inputs) {
      try {
        loaded.push(...(input instanceof FollowedPath ? input.values() : [loadInput([input])]));
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        failures.push(...error.faults);
      }
    }
    const [first, ...others] = failures;
    if (first !== undefined) throw new InputError([first, ...others]);
    return {
      documents: loaded.flatMap(({ documents }) => documents),
      faults: loaded.flatMap(({ faults }) => faults),
    };
  }
}

function loadDocumentsOf(file: InputFile): Loaded<LoadedDocuments> {
  return load(() => loadInput([file]));
}

function loadConfiguration(file: InputFile): Loaded<ParsedProxyConfiguration> {
  return load(() => parseProxyConfiguration(file));
}

function load<T>(read: () => T): Loaded<T> {
  try {
    return { kind: "loaded", value: read() };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { kind: error.code === "EMPTY_FILE" ? "empty" : "faulty", fault: error };
  }
}
