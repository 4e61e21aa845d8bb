import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { systemCode } from "@svcproxy/host";
import type { KeptValue, LoadedFile } from "@svcproxy/topology";

/** What is in force of entries and files that are refused now. */
export interface LastGood {
  readonly entries: readonly KeptValue[];
  readonly files: readonly { readonly file: string; readonly values: readonly unknown[] }[];
}

export const NOTHING_KEPT: LastGood = { entries: [], files: [] };

/**
 * Remembers last good states for the next process: what the kernel serves of an entry that cannot be read would be taken away by an agent that
 * is started again and never saw a better one. To be kept where the kernel's rules are kept: until the machine starts anew.
 */
export class LastGoodFile {
  readonly #path: string;
  #saved = "";

  constructor(path: string) {
    this.#path = path;
  }

  /** Nothing where there is none, or it cannot be read: it is worth less than a start. */
  read(): LastGood {
    try {
      this.#saved = readFileSync(this.#path, "utf8");
      const found: unknown = JSON.parse(this.#saved);
      return isLastGood(found) ? found : NOTHING_KEPT;
    } catch {
      return NOTHING_KEPT;
    }
  }

  /** Where it cannot be written, nothing is remembered: that is no reason to follow no more. */
  save(kept: LastGood): void {
    const text = kept.entries.length + kept.files.length === 0 ? "" : JSON.stringify(kept);
    if (text === this.#saved) return;
    this.#saved = text;
    try {
      if (text === "") rmSync(this.#path, { force: true });
      else {
        writeFileSync(`${this.#path}.new`, text, { mode: 0o600 });
        renameSync(`${this.#path}.new`, this.#path);
      }
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
    }
  }
}

/** A file of before as it was loaded then. */
export function loadedAgain({ file, values }: LastGood["files"][number]): LoadedFile {
  const source = { file, text: "" };
  return { file, loaded: { documents: values.map((value, index) => ({ source, index, value })), faults: [] } };
}

/** What it holds is read as any input is; only its shape has to be right. */
function isLastGood(value: unknown): value is LastGood {
  if (typeof value !== "object" || value === null || !("entries" in value) || !("files" in value)) return false;
  const { entries, files } = value;
  if (!Array.isArray(entries) || !Array.isArray(files)) return false;
  const isRecord = (item: unknown) => typeof item === "object" && item !== null;
  return (
    entries.every((entry: unknown) => isRecord(entry) && typeof Reflect.get(Object(entry), "list") === "string") &&
    files.every((file: unknown) => {
      const record = Object(file);
      return typeof Reflect.get(record, "file") === "string" && Array.isArray(Reflect.get(record, "values"));
    })
  );
}
