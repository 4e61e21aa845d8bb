import { createHash } from "node:crypto";
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { type Fault, InputError, type InputFile, inputError } from "@svcproxy/topology";
import type { ChangeHint, WatchedFolder } from "./change-notices.ts";
import { entriesOnTheWay } from "./entries-on-the-way.ts";
import {
  explained,
  type FileStamp,
  isSameStamp,
  type PathKind,
  readRegularFile,
  stampOf,
  unreadable,
} from "./read-regular-file.ts";

/** What a directory stands for: the files right in it that have such a name. */
const INPUT_FILE = /\.(ya?ml|json)$/i;

/** Clocks of file systems are that coarse (FAT's has two seconds): what was written so short ago may be written again at the same time. */
const COARSE_CLOCK_MS = 2_000;

/** What came of one file. */
export type Loaded<T> =
  | { readonly kind: "loaded"; readonly value: T }
  /** There is nothing in it, or only comments. */
  | { readonly kind: "empty"; readonly fault: InputError }
  | { readonly kind: "faulty"; readonly fault: InputError };

interface KnownFile<T> {
  readonly stamp: FileStamp;
  readonly digest: string;
  /** It may be written again, and have the same stamp. */
  readonly stampIsRacy: boolean;
  readonly loaded: Loaded<T>;
}

export interface LookOptions {
  readonly hint: ChangeHint;
  /** How long a file has to stay as it is before it counts as whole; 0: not at all. */
  readonly settleMs: number;
  /** Whether an entry of this name came with its content, so that it need not settle. */
  readonly cameWhole: (name: string) => Promise<boolean>;
}

/** One file of a path. */
interface Place {
  /** As messages name it. */
  readonly name: string;
  readonly path: string;
  readonly isEntry: boolean;
}

/**
 * One file, or the files right in a directory, by its path: read again only where size, time or inode say that it may be otherwise,
 * and loaded again only where its content is.
 */
export class FollowedPath<T> {
  /** As it was given. */
  readonly name: string;
  readonly #path: string;
  readonly #load: (file: InputFile) => Loaded<T>;
  /** What it was at first: a directory in a file's place is a mistake, and not another input. */
  #kind: PathKind | undefined;
  readonly #files = new Map<string, KnownFile<T>>();
  /** Why the path as a whole, or one of its files, cannot be read. */
  readonly #unreadable = new Map<string, InputError>();

  constructor(name: string, load: (file: InputFile) => Loaded<T>) {
    this.name = name;
    this.#path = resolve(name);
    this.#load = load;
  }

  /** @returns for how long a file may still be half written, so that nothing of this look counts; 0: all is whole */
  async look(options: LookOptions): Promise<number> {
    if (!(await this.#lookAtKind())) return 0;
    if (this.#kind === "file") return this.#lookAt({ name: this.name, path: this.#path, isEntry: false }, options);
    const isComplete = options.hint === "anything";
    const names = options.hint === "anything" ? await this.#list() : [...options.hint];
    const places = names.map((name) => ({ name: join(this.name, name), path: join(this.#path, name), isEntry: true }));
    let unsettledMs = 0;
    for (const place of places) unsettledMs = Math.max(unsettledMs, await this.#lookAt(place, options));
    if (isComplete) this.#forgetAllBut(new Set(places.map(({ name }) => name)));
    return unsettledMs;
  }

  /** Whether it is there, and what it was. */
  async #lookAtKind(): Promise<boolean> {
    try {
      const { kind } = await stampOf(this.#path);
      this.#kind ??= kind;
      if (kind !== this.#kind) throw unreadable(this.name, `it is a ${kind} now, and was a ${this.#kind}`);
      if (kind === "directory") this.#unreadable.delete(this.name);
      return true;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#unreadable.clear();
      this.#unreadable.set(this.name, error);
      return false;
    }
  }

  async #list(): Promise<readonly string[]> {
    const names = await explained(this.name, () => readdir(this.#path));
    return names.filter((name) => INPUT_FILE.test(name));
  }

  #forgetAllBut(names: ReadonlySet<string>): void {
    for (const name of [...this.#files.keys(), ...this.#unreadable.keys()]) if (!names.has(name)) this.#forget(name);
  }

  #forget(name: string): void {
    this.#files.delete(name);
    this.#unreadable.delete(name);
  }

  async #lookAt(place: Place, options: LookOptions): Promise<number> {
    const { name, path, isEntry } = place;
    try {
      const { kind, stamp } = await stampOf(path);
      if (kind === "directory" && isEntry) {
        this.#forget(name);
        return 0;
      }
      const known = this.#files.get(name);
      const wasUnreadable = this.#unreadable.delete(name);
      if (known !== undefined && !wasUnreadable && !known.stampIsRacy && isSameStamp(known.stamp, stamp)) return 0;
      return await this.#read(place, options);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      // What is gone from a directory is gone on purpose.
      if (isEntry && (await isMissing(path))) this.#forget(name);
      else this.#unreadable.set(name, error);
      return 0;
    }
  }

  async #read({ name, path }: Place, { settleMs, cameWhole }: LookOptions): Promise<number> {
    const known = this.#files.get(name);
    const { bytes, stamp, isBeingWritten } = await readRegularFile(path);
    const digest = createHash("sha256").update(bytes).digest("base64");
    const ageMs = Date.now() - Number(stamp.modifiedNs / 1_000_000n);
    if (known?.digest !== digest && settleMs > 0) {
      // A clock that differs (negative age) holds nothing up.
      const isFresh = ageMs >= 0 && ageMs < settleMs;
      const isWhole = !isBeingWritten && (!isFresh || (bytes.length > 0 && (await cameWhole(basename(path)))));
      if (!isWhole) return Math.max(1, settleMs - ageMs);
    }
    const loaded = known?.digest === digest ? known.loaded : this.#loadFile({ file: name, bytes }, known);
    this.#files.set(name, { stamp, digest, stampIsRacy: ageMs < COARSE_CLOCK_MS, loaded });
    return 0;
  }

  /** In a directory a file may be empty, but not become so: whoever wrote it may have been cut off. */
  #loadFile(file: InputFile, known: KnownFile<T> | undefined): Loaded<T> {
    const loaded = this.#load(file);
    const mayBeEmpty = this.#kind === "directory" && (known === undefined || known.loaded.kind === "empty");
    return loaded.kind === "empty" && !mayBeEmpty ? { kind: "faulty", fault: loaded.fault } : loaded;
  }

  /** The same text for the same state. */
  signature(): string {
    const files = [...this.#files].map(([name, { digest }]) => [name, digest]).sort();
    return JSON.stringify([files, [...this.#unreadable].map(([name, { message }]) => [name, message])]);
  }

  /**
   * What there is, in the order of the files' names.
   *
   * @throws InputError with every fault of every file; EMPTY_FILE or NO_FILES where there is nothing at all
   */
  values(): readonly T[] {
    const values: T[] = [];
    const faults: Fault[] = [...this.#unreadable.values()].flatMap((error) => error.faults);
    for (const [name, { loaded }] of [...this.#files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (this.#unreadable.has(name)) continue;
      if (loaded.kind === "loaded") values.push(loaded.value);
      else if (loaded.kind === "faulty") faults.push(...loaded.fault.faults);
    }
    const [first, ...others] = faults;
    if (first !== undefined) throw new InputError([first, ...others]);
    if (values.length === 0) throw this.#nothing();
    return values;
  }

  #nothing(): InputError {
    for (const { loaded } of this.#files.values()) if (loaded.kind === "empty") return loaded.fault;
    const message = `Cannot read ${JSON.stringify(this.name)}: the directory has no .yaml, .yml or .json file`;
    return inputError("NO_FILES", message);
  }

  /** Where something that counts here may change, by `device:inode`. */
  async folders(): Promise<ReadonlyMap<string, WatchedFolder>> {
    const folders = new Map<string, WatchedFolder>(await entriesOnTheWay(this.#path));
    try {
      const entries = await readdir(this.#path, { withFileTypes: true });
      for (const entry of entries) {
        if (!entry.isSymbolicLink() || !INPUT_FILE.test(entry.name)) continue;
        for (const [identity, folder] of await entriesOnTheWay(join(this.#path, entry.name))) {
          folders.set(identity, joinFolders(folder, folders.get(identity)));
        }
      }
      const { dev, ino } = await stat(this.#path);
      const own = { folder: await realpath(this.#path), names: new Set<string>(), entries: INPUT_FILE };
      folders.set(`${dev}:${ino}`, joinFolders(own, folders.get(`${dev}:${ino}`)));
    } catch {
      // A file, or nothing that can be read: the look says what.
    }
    return folders;
  }
}

/** What two paths want to know of one folder. */
export function joinFolders(one: WatchedFolder, other: WatchedFolder | undefined): WatchedFolder {
  if (other === undefined) return one;
  const entries = one.entries ?? other.entries;
  return {
    folder: one.folder,
    names: new Set([...one.names, ...other.names]),
    ...(entries === undefined ? {} : { entries }),
  };
}

async function isMissing(path: string): Promise<boolean> {
  return stat(path).then(
    () => false,
    (error: unknown) => error instanceof Error && "code" in error && error.code === "ENOENT",
  );
}
