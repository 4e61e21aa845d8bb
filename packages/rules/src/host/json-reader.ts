import { type Family, type Fault, InputError } from "@svcproxy/topology";

/** Where a value stands in a JSON document. */
export type Path = readonly (string | number)[];

export type JsonObject = Readonly<Record<string, unknown>>;

/** So many faults are told; a file with more is another kind of file. */
const MAX_FAULTS = 20;

/** Reads JSON of unknown shape that `svcproxy host-state` printed, and gathers what is wrong with it. */
export class JsonReader {
  private readonly faults: Fault[] = [];
  /** What faults name. */
  readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  /** @throws InputError HOST_STATE_INVALID where it is not JSON */
  parse(text: string): JsonObject {
    try {
      return this.object(JSON.parse(text), []);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `Cannot read ${JSON.stringify(this.file)} as a host's state: ${reason}`;
      throw new InputError([{ severity: "error", code: "HOST_STATE_INVALID", message, hint: HINT }], { cause });
    }
  }

  /** Notes a fault; after the first ones no more are kept. */
  fault(path: Path, what: string): undefined {
    if (this.faults.length >= MAX_FAULTS) return undefined;
    const where = path.length === 0 ? "" : ` at ${path.join(".")}`;
    this.faults.push({
      severity: "error",
      code: "HOST_STATE_INVALID",
      message: `Cannot read the host's state ${JSON.stringify(this.file)}${where}: ${what}`,
      path,
      hint: HINT,
    });
    return undefined;
  }

  /** The object that stands there; an empty one, and a fault, where there is none. */
  object(value: unknown, path: Path): JsonObject {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
    this.fault(path, "it is not an object");
    return {};
  }

  /** The entries with their paths; none, and a fault, where there is no list. */
  list(value: unknown, path: Path): readonly { readonly value: unknown; readonly path: Path }[] {
    if (Array.isArray(value)) return value.map((entry: unknown, index) => ({ value: entry, path: [...path, index] }));
    this.fault(path, value === undefined ? "it is missing" : "it is not a list");
    return [];
  }

  /** Undefined, and a fault, where it is no string. */
  text(value: unknown, path: Path): string | undefined {
    return typeof value === "string" ? value : this.fault(path, "it is not a string");
  }

  /** Undefined, and a fault, where it is no number. */
  number(value: unknown, path: Path): number | undefined {
    return typeof value === "number" ? value : this.fault(path, "it is not a number");
  }

  /** The entries of a list, or of the lists below `4` and `6`, each with its family where it is told. */
  byFamily<T>(
    value: unknown,
    path: Path,
    read: (value: unknown, path: Path, family: Family | undefined) => T,
  ): readonly T[] {
    if (value === undefined) return [];
    if (Array.isArray(value)) return this.list(value, path).map((entry) => read(entry.value, entry.path, undefined));
    const families = this.object(value, path);
    return ([4, 6] as const).flatMap((family) => {
      const entries = families[String(family)];
      return entries === undefined
        ? []
        : this.list(entries, [...path, family]).map((entry) => read(entry.value, entry.path, family));
    });
  }

  /** @throws InputError with what was found */
  finish(): void {
    const [first, ...rest] = this.faults;
    if (first !== undefined) throw new InputError([first, ...rest]);
  }
}

const HINT = "`svcproxy host-state` on the host prints it";
