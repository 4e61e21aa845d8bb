import { setTimeout as sleep } from "node:timers/promises";
import {
  type Cidr,
  type Fault,
  InputError,
  type InputFile,
  InputReader,
  inputError,
  type KeptValue,
  type LoadedDocuments,
  type LoadedFile,
  loadInput,
  type ParsedProxyConfiguration,
  parseProxyConfiguration,
  problemOf,
  type RefusedInput,
  type Topology,
} from "@svcproxy/topology";
import { RefusedEntries } from "../refused-entries.ts";
import { shareUnchanged } from "../share-unchanged.ts";
import type { Source, SourceEvent } from "../source.ts";
import { type ChangeHint, ChangeNotices, type WatchedFolder } from "./change-notices.ts";
import { FollowedPath, joinFolders, type Loaded, type LookOptions, type Unsettled } from "./followed-path.ts";
import { LastGoodFile, loadedAgain, NOTHING_KEPT } from "./last-good.ts";

export interface FileSourceOptions {
  /** Topology files or Kubernetes objects: files and directories by path, or what was read already (stdin), which stays as it is. */
  readonly inputs: readonly (string | InputFile)[];
  /** A KubeProxyConfiguration, whose settings go over those of the topology. */
  readonly config?: string;
  /** Whether what the configuration says to a program that follows a cluster is used as well. */
  readonly usesProgramSettings?: boolean;
  /** Blocks whose addresses a Service of Kubernetes may claim as externalIPs; none: nobody may. */
  readonly allowExternalIPs?: readonly Cidr[];
  /** Follows them; else they are read once, and again with each `refresh`. */
  readonly watch: boolean;
  /** Where the last good state of what is refused is remembered for the next process; absent: nowhere. */
  readonly lastGoodPath?: string;
  /** The first state is told only once it has no fault at all: for whoever does not start with a part of it. */
  readonly startsWhole?: boolean;
  /** How long a file that was written in place has to stay as it is before it is read: editors and copies write in steps. */
  readonly settleMs?: number;
  /** How often to look without being told: network file systems and full inotify tables tell nothing. */
  readonly pollMs?: number;
  /** How many Kubernetes objects of each kind say nothing about services. */
  readonly onPassedOver?: (counts: ReadonlyMap<string, number>) => void;
}

const SETTLE_MS = 100;
/** Whoever starts does not wait longer than this for files to be written. */
const FIRST_SETTLE_MS = 1_000;
const POLL_MS = 2_000;
/** Looking without being told costs at most this part of a core. */
const POLL_SHARE = 0.001;
/** Looking because one was told, and finding nothing, at most this: somebody may write all the time. */
const NOTICED_SHARE = 0.1;
/** What cannot be opened is tried again after this long, each further time after twice as long. */
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

/**
 * Topology files, or files of Kubernetes objects, followed by their paths: written in place, replaced by rename (editors, `kubectl`,
 * atomic writers), removed and made again, or reached through symbolic links of which one is swapped (Kubernetes' ConfigMap volumes).
 *
 * A file that cannot be read, and an entry with a fault, are refused: their last good state stays, and nothing else is held up. Where
 * no file can be read, that is a problem of the source.
 */
export class FileSource implements Source {
  readonly name: string;
  readonly #options: FileSourceOptions;
  readonly #inputs: readonly (FollowedPath<LoadedDocuments> | InputFile)[];
  readonly #config: FollowedPath<ParsedProxyConfiguration> | undefined;
  readonly #notices = new ChangeNotices();
  readonly #reader: InputReader;
  readonly #lastGood: LastGoodFile | undefined;
  /** Files of before that could not be read since. */
  #filesOfBefore: ReadonlyMap<string, LoadedFile>;
  readonly #given = new Map<InputFile, LoadedFile>();
  readonly #refused = new RefusedEntries();
  #isAskedFor = false;
  #retryMs = FIRST_RETRY_MS;
  /** The last state that was told, and the last topology that could be read. */
  #told: { readonly versions: string; readonly topology: Topology | undefined } | undefined;
  #passedOver: ReadonlyMap<string, number> = new Map();

  constructor(options: FileSourceOptions) {
    const { inputs, config, allowExternalIPs = [] } = options;
    this.name = inputs.map((input) => (typeof input === "string" ? input : input.file)).join(" ");
    this.#options = options;
    this.#lastGood = options.lastGoodPath === undefined ? undefined : new LastGoodFile(options.lastGoodPath);
    const before = this.#lastGood?.read() ?? NOTHING_KEPT;
    this.#reader = new InputReader({ allowExternalIPs }, before.entries);
    this.#filesOfBefore = new Map(before.files.map((file) => [file.file, loadedAgain(file)]));
    const hadContent = (file: string) => this.#filesOfBefore.has(file);
    this.#inputs = inputs.map((input) =>
      typeof input === "string" ? new FollowedPath(input, loadDocumentsOf, { hadContent }) : input,
    );
    this.#config = config === undefined ? undefined : new FollowedPath(config, configurationLoader(options));
  }

  /** Looks now, takes what is there as whole, and tells the state anew whether it has changed or not. */
  refresh(): void {
    this.#isAskedFor = true;
    this.#notices.say("anything");
  }

  async *follow(signal: AbortSignal): AsyncGenerator<SourceEvent, void, undefined> {
    const { watch, pollMs = POLL_MS, settleMs = SETTLE_MS } = this.#options;
    using notices = this.#notices;
    let hint: ChangeHint | undefined = "anything";
    let fullLookMs = 0;
    while (hint !== undefined && !signal.aborted) {
      const startedAtMs = performance.now();
      // Before the files are read, so that no change is missed in between.
      if (watch && hint === "anything") notices.watch(await this.#folders());
      const isAskedFor = this.#isAskedFor;
      this.#isAskedFor = false;
      // Whoever reads once takes what there is, and whoever asks for another look has written all.
      if (!watch || isAskedFor) await this.#look(hint, 0);
      else await (this.#told === undefined ? this.#lookFirst(signal) : this.#look(hint, settleMs));
      if (hint === "anything") fullLookMs = performance.now() - startedAtMs;
      const event = this.#tell(isAskedFor);
      const tookMs = performance.now() - startedAtMs;
      if (event !== undefined && !signal.aborted) yield event;
      hint = await notices.next({
        signal,
        // How soon after a change the next one is dealt with is up to whoever asks for it.
        leastMs: event === undefined ? tookMs / NOTICED_SHARE : 0,
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

  /** What is being written at the start is waited for, but not for long. */
  async #lookFirst(signal: AbortSignal): Promise<void> {
    const { settleMs = SETTLE_MS } = this.#options;
    const untilMs = performance.now() + FIRST_SETTLE_MS;
    let restMs = FIRST_SETTLE_MS;
    let hint: ChangeHint = "anything";
    for (;;) {
      const unsettled = await this.#look(hint, restMs > 0 ? settleMs : 0);
      restMs = untilMs - performance.now();
      if (unsettled.size === 0 || signal.aborted) return;
      hint = hintOf([...unsettled.keys()]);
      const unsettledMs = Math.max(...unsettled.values());
      await sleep(Math.max(0, Math.min(unsettledMs, restMs)), undefined, { signal }).catch(() => {});
    }
  }

  /**
   * What may be half written, and what cannot be opened, is looked at again.
   *
   * @returns what may still be half written
   */
  async #look(hint: ChangeHint, settleMs: number): Promise<Unsettled> {
    const { watch } = this.#options;
    const options: LookOptions = { hint, settleMs, cameWhole: (name) => this.#notices.cameWhole(name) };
    const again = (names: readonly string[], delayMs: number) => this.#notices.sayLater(hintOf(names), delayMs);
    const closed: string[] = [];
    const all = new Map<string, number>();
    for (const path of this.#paths) {
      const unsettled = await path.look(options);
      if (unsettled.size > 0) again([...unsettled.keys()], Math.max(...unsettled.values()));
      for (const [name, ms] of unsettled) all.set(name, Math.max(ms, all.get(name) ?? 0));
      closed.push(...path.unreadable());
    }
    if (closed.length === 0) this.#retryMs = FIRST_RETRY_MS;
    else if (watch) {
      again(closed, this.#retryMs);
      this.#retryMs = Math.min(LONGEST_RETRY_MS, 2 * this.#retryMs);
    }
    return all;
  }

  /** What is to be said of the state as it is; undefined where it was said already, and nobody asked for it. */
  #tell(isAskedFor: boolean): SourceEvent | undefined {
    const versions = this.#paths.map(({ version }) => version).join(" ");
    if (this.#told?.versions === versions && !isAskedFor) return undefined;
    const before = this.#told?.topology;
    try {
      const { warnings, ...read } = this.#read(before === undefined);
      const { topology, changed } = shareUnchanged(read.topology, before);
      this.#told = { versions, topology };
      this.#refused.become(read.refused);
      const refused = this.#refused.list();
      return { kind: "snapshot", topology, changed, warnings: warnings.map(problemOf), complete: true, refused };
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#told = { versions, topology: before };
      const [first, ...others] = error.faults;
      return { kind: "problem", problems: [problemOf(first), ...others.map(problemOf)], error };
    }
  }

  /** @throws InputError with every fault where nothing of it can be taken */
  #read(isFirst: boolean) {
    const { onPassedOver, startsWhole = false } = this.#options;
    const { files, refused: refusedFiles } = this.#files();
    const configured = this.#configuration();
    const { passedOver, kept, ...read } = this.#reader.read(files, configured);
    this.#remember(kept, { files, refusedFiles });
    const refused: readonly RefusedInput[] = [...refusedFiles, ...(configured.refused ?? []), ...read.refused];
    const faults = refused.flatMap((entry) => entry.faults);
    const [first, ...others] = faults;
    if (isFirst && startsWhole && first !== undefined) throw new InputError([first, ...others]);
    if (passedOver.size > 0 && !isSame(passedOver, this.#passedOver)) onPassedOver?.(passedOver);
    this.#passedOver = passedOver;
    const entries = refused.map(({ faults: [fault, ...more], ...entry }) => ({
      ...entry,
      problems: [problemOf(fault), ...more.map(problemOf)] as const,
    }));
    return { ...read, refused: entries };
  }

  #remember(
    entries: readonly KeptValue[],
    { files, refusedFiles }: { readonly files: readonly LoadedFile[]; readonly refusedFiles: readonly RefusedInput[] },
  ): void {
    const names = new Set(refusedFiles.filter(({ isKept }) => isKept).map(({ entry }) => entry));
    const kept = names.size === 0 ? [] : files.filter(({ file }) => names.has(file));
    this.#filesOfBefore = new Map([...this.#filesOfBefore].filter(([file]) => names.has(file)));
    this.#lastGood?.save({
      entries,
      files: kept.map(({ file, loaded }) => ({ file, values: loaded.documents.map(({ value }) => value) })),
    });
  }

  /** @throws InputError SEVERAL_CONFIGURATIONS, or with the faults of the file where it never could be read */
  #configuration(): { readonly configuration?: ParsedProxyConfiguration; readonly refused?: readonly RefusedInput[] } {
    if (this.#config === undefined) return {};
    const { files, refused } = this.#config.state();
    const [configuration, another] = files;
    if (another !== undefined) {
      const message = `--config takes one file, and ${JSON.stringify(this.#config.name)} holds more`;
      throw inputError("SEVERAL_CONFIGURATIONS", message);
    }
    if (configuration === undefined) throw errorOf(refused.flatMap(({ faults }) => faults));
    return { configuration: configuration.loaded, refused: refused.map(refusalOf) };
  }

  /**
   * Of all inputs, in their order.
   *
   * @throws InputError where no file of any of them can be read
   */
  #files(): { readonly files: readonly LoadedFile[]; readonly refused: readonly RefusedInput[] } {
    const [only, another] = this.#inputs;
    if (only instanceof FollowedPath && another === undefined) {
      const state = only.state();
      if (state.refused.length === 0 && state.freshCount > 0) return { files: state.files, refused: [] };
    }
    const files: LoadedFile[] = [];
    const refused: RefusedInput[] = [];
    let freshCount = 0;
    for (const input of this.#inputs) {
      if (!(input instanceof FollowedPath)) {
        files.push(this.#givenFile(input));
        freshCount += 1;
        continue;
      }
      const state = input.state();
      for (const file of state.files) files.push(file);
      for (const { file, ...rest } of state.refused) {
        const before = rest.isKept ? undefined : this.#filesOfBefore.get(file);
        if (before !== undefined) files.push(before);
        refused.push(refusalOf({ file, ...rest, isKept: rest.isKept || before !== undefined }));
      }
      freshCount += state.freshCount;
    }
    if (freshCount === 0) throw errorOf(refused.flatMap(({ faults }) => faults));
    return { files, refused };
  }

  #givenFile(input: InputFile): LoadedFile {
    const known = this.#given.get(input) ?? { file: input.file, loaded: loadInput([input]) };
    this.#given.set(input, known);
    return known;
  }
}

/** Of files by their names in a directory; of one that is followed by itself the name is empty. */
function hintOf(names: readonly string[]): ChangeHint {
  return names.includes("") ? "anything" : new Set(names);
}

function refusalOf({ file, ...rest }: { readonly file: string } & Omit<RefusedInput, "entry">): RefusedInput {
  return { entry: file, ...rest };
}

function errorOf(faults: readonly Fault[]): InputError {
  const [first, ...others] = faults;
  if (first === undefined) throw new TypeError("there is no fault");
  return new InputError([first, ...others]);
}

function isSame(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return a.size === b.size && [...a].every(([name, count]) => b.get(name) === count);
}

/** A key that stands twice is a fault of the file as a whole: nobody knows which of the two is meant. */
function loadDocumentsOf(file: InputFile): Loaded<LoadedDocuments> {
  return load(() => {
    const loaded = loadInput([file]);
    const [first, ...others] = loaded.faults;
    if (first !== undefined) throw new InputError([first, ...others]);
    return loaded;
  });
}

function configurationLoader({ usesProgramSettings = false }: FileSourceOptions) {
  return (file: InputFile): Loaded<ParsedProxyConfiguration> =>
    load(() => parseProxyConfiguration(file, { followsCluster: usesProgramSettings }));
}

function load<T>(read: () => T): Loaded<T> {
  try {
    return { kind: "loaded", value: read() };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { kind: error.code === "EMPTY_FILE" ? "empty" : "faulty", fault: error };
  }
}
