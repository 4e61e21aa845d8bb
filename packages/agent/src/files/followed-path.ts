import { createHash } from "node:crypto";
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { type Fault, InputError, type InputFile, inputError } from "@svcproxy/topology";
import type { ChangeHint, WatchedFolder } from "./change-notices.ts";
import { cutOffError, endsWithLine } from "./cut-off.ts";
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
  /** What it was the last time that it could be loaded. */
  readonly good: GoodFile<T> | undefined;
}

interface GoodFile<T> {
  readonly file: string;
  readonly loaded: T;
  readonly endsWithLine: boolean;
  readonly size: number;
}

/** What a path has. */
export interface PathState<T> {
  /** In the order of their names; of a file that cannot be read any more, what it was before. */
  readonly files: readonly GoodFile<T>[];
  /** Files that cannot be read. */
  readonly refused: readonly RefusedFile[];
  /** How many of the files are as they are now. */
  readonly freshCount: number;
}

export interface RefusedFile {
  readonly file: string;
  readonly isKept: boolean;
  readonly faults: readonly [Fault, ...Fault[]];
}

/** How many times as long one has to stay as it is that is written in place and shorter than it was: whoever writes it may have more to write. */
const SHORTER_SETTLES = 3;

/** So many files are looked at side by side. */
const AT_ONCE = 16;

/** By name, how much longer a file may still be half written. */
export type Unsettled = ReadonlyMap<string, number>;

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
  /** Of `#files`, in their order; undefined: they are others by now. */
  #names: readonly string[] | undefined;
  #version = 0;
  #state: PathState<T> | undefined;
  /** The files of `#state`, where nobody has asked for it yet. */
  #unaskedFiles: GoodFile<T>[] | undefined;

  readonly #hadContent: (file: string) => boolean;

  /** @param hadContent whether a file that is seen for the first time is known to have held something before */
  constructor(
    name: string,
    load: (file: InputFile) => Loaded<T>,
    { hadContent = () => false }: { readonly hadContent?: (file: string) => boolean } = {},
  ) {
    this.name = name;
    this.#path = resolve(name);
    this.#load = load;
    this.#hadContent = hadContent;
  }

  /** Moves on with each change of what `state` tells. */
  get version(): number {
    return this.#version;
  }

  /** @returns files that may still be half written, by their names in the directory (one file: by an empty one), so that their change does not count yet */
  async look(options: LookOptions): Promise<Unsettled> {
    const unsettled = new Map<string, number>();
    if (!(await this.#lookAtKind())) return unsettled;
    if (this.#kind === "file") {
      const ms = await this.#lookAt({ name: this.name, path: this.#path, isEntry: false }, options);
      return ms > 0 ? unsettled.set("", ms) : unsettled;
    }
    const isComplete = options.hint === "anything";
    const names = options.hint === "anything" ? await this.#list() : [...options.hint];
    const places = names.map((name) => ({ name: join(this.name, name), path: join(this.#path, name), isEntry: true }));
    for (let start = 0; start < places.length; start += AT_ONCE) {
      const looks = places.slice(start, start + AT_ONCE).map(async (place, index) => {
        const ms = await this.#lookAt(place, options);
        if (ms > 0) unsettled.set(names[start + index] ?? "", ms);
      });
      await Promise.all(looks);
    }
    if (isComplete) this.#forgetAllBut(new Set(places.map(({ name }) => name)));
    return unsettled;
  }

  /** Names in the directory of what cannot be opened, for another try; of a file, or a directory that is not there, an empty one. */
  unreadable(): readonly string[] {
    return [...this.#unreadable.keys()].map((name) => (name === this.name ? "" : basename(name)));
  }

  /** Whether it is there, and what it was. */
  async #lookAtKind(): Promise<boolean> {
    try {
      const { kind } = await stampOf(this.#path);
      this.#kind ??= kind;
      if (kind !== this.#kind) throw unreadable(this.name, `it is a ${kind} now, and was a ${this.#kind}`);
      if (kind === "directory") this.#nowReadable(this.name);
      return true;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.#nowUnreadable(this.name, error);
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
    if (this.#files.delete(name)) {
      this.#names = undefined;
      this.#changed();
    }
    this.#nowReadable(name);
  }

  #nowReadable(name: string): void {
    if (this.#unreadable.delete(name)) this.#changed();
  }

  #nowUnreadable(name: string, error: InputError): void {
    if (this.#unreadable.get(name)?.message === error.message) return;
    this.#unreadable.set(name, error);
    this.#changed();
  }

  #changed(): void {
    this.#version += 1;
    this.#state = undefined;
  }

  /** One file of thousands has another content; all else is as it was. */
  #replaced(good: GoodFile<T>): void {
    const [state, names] = [this.#state, this.#names];
    const place = names === undefined ? -1 : placeIn(names, good.file);
    const isAlone =
      state?.files[place]?.file === good.file && state.refused.length === 0 && this.#unreadable.size === 0;
    if (state === undefined || !isAlone) {
      this.#changed();
      return;
    }
    this.#version += 1;
    this.#unaskedFiles ??= state.files.slice();
    this.#unaskedFiles[place] = good;
    this.#state = { ...state, files: this.#unaskedFiles };
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
      const wasUnreadable = this.#unreadable.has(name);
      if (known !== undefined && !wasUnreadable && !known.stampIsRacy && isSameStamp(known.stamp, stamp)) return 0;
      const unsettledMs = await this.#read(place, { ...options, before: stamp });
      // What may be half written is no better than what cannot be read.
      if (unsettledMs === 0) this.#nowReadable(name);
      return unsettledMs;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      // What is gone from a directory is gone on purpose.
      if (isEntry && (await isMissing(path))) this.#forget(name);
      else this.#nowUnreadable(name, error);
      return 0;
    }
  }

  async #read(
    { name, path }: Place,
    { settleMs, cameWhole, before }: LookOptions & { readonly before: FileStamp },
  ): Promise<number> {
    const known = this.#files.get(name);
    const { bytes, stamp, isBeingWritten } = await readRegularFile(path, before);
    const digest = createHash("sha256").update(bytes).digest("base64");
    const ageMs = Date.now() - Number(stamp.modifiedNs / 1_000_000n);
    if (known?.digest !== digest && settleMs > 0) {
      const isShorter = bytes.length < (known?.good?.size ?? 0);
      const settledMs = isShorter ? SHORTER_SETTLES * settleMs : settleMs;
      // A clock that differs (negative age) holds nothing up.
      const isFresh = ageMs >= 0 && ageMs < settledMs;
      const isWhole = !isBeingWritten && (!isFresh || (bytes.length > 0 && (await cameWhole(basename(path)))));
      if (!isWhole) return Math.max(1, settledMs - ageMs);
    }
    const stamped = { stamp, digest, stampIsRacy: ageMs < COARSE_CLOCK_MS };
    if (known?.digest === digest) {
      this.#files.set(name, { ...stamped, loaded: known.loaded, good: known.good });
      return 0;
    }
    const loaded = this.#loadFile({ file: name, bytes }, known);
    const kept = loaded.kind === "faulty" ? known?.good : undefined;
    const good =
      loaded.kind === "loaded"
        ? { file: name, loaded: loaded.value, endsWithLine: endsWithLine({ file: name, bytes }), size: bytes.length }
        : kept;
    if (known === undefined) this.#names = undefined;
    this.#files.set(name, { ...stamped, loaded, good });
    if (good !== undefined && known?.loaded.kind === "loaded" && loaded.kind === "loaded") this.#replaced(good);
    else this.#changed();
    return 0;
  }

  /** In a directory a file may be empty, but not become so: whoever wrote it may have been cut off. */
  #loadFile(file: InputFile, known: KnownFile<T> | undefined): Loaded<T> {
    const loaded = this.#load(file);
    const cutOff = loaded.kind === "loaded" ? cutOffError(file, known?.good) : undefined;
    if (cutOff !== undefined) return { kind: "faulty", fault: cutOff };
    const wasEmpty = known === undefined ? !this.#hadContent(file.file) : known.loaded.kind === "empty";
    const mayBeEmpty = this.#kind === "directory" && wasEmpty;
    return loaded.kind === "empty" && !mayBeEmpty ? { kind: "faulty", fault: loaded.fault } : loaded;
  }

  /** What there is: the same object while it stays. */
  state(): PathState<T> {
    this.#state ??= this.#makeState();
    this.#unaskedFiles = undefined;
    return this.#state;
  }

  #makeState(): PathState<T> {
    const files: GoodFile<T>[] = [];
    const refused: RefusedFile[] = [];
    const refuse = (file: string, { error: { faults }, isKept }: { error: InputError; isKept: boolean }) =>
      refused.push({ file, isKept, faults });
    let freshCount = 0;
    const whole = this.#unreadable.get(this.name);
    if (whole !== undefined) refuse(this.name, { error: whole, isKept: this.#files.size > 0 });
    this.#names ??= [...this.#files.keys()].sort((a, b) => (a < b ? -1 : 1));
    for (const file of this.#names) {
      const known = this.#files.get(file);
      if (known === undefined) continue;
      const { loaded, good } = known;
      const isKept = good !== undefined;
      const unreadable = this.#unreadable.get(file);
      if (isKept) files.push(good);
      if (whole !== undefined) continue;
      if (unreadable !== undefined) refuse(file, { error: unreadable, isKept });
      else if (loaded.kind === "faulty") refuse(file, { error: loaded.fault, isKept });
      else if (isKept) freshCount += 1;
    }
    for (const [file, error] of this.#unreadable) {
      if (file !== this.name && !this.#files.has(file)) refuse(file, { error, isKept: false });
    }
    if (freshCount === 0 && refused.length === 0)
      refuse(this.name, { error: this.#nothing(), isKept: files.length > 0 });
    return { files, refused, freshCount };
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

/** @param names sorted @returns -1 where it is not among them */
function placeIn(names: readonly string[], name: string): number {
  let [low, high] = [0, names.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    const found = names[middle] ?? "";
    if (found === name) return middle;
    if (found < name) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
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
