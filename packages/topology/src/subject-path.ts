import type { Path } from "./text/fault-report.ts";
import { quote } from "./visible.ts";

/**
 * A place in a document and whom it belongs to. A chain of small objects rather than a path and a text, because one is made
 * for every pod of a big file and hardly ever asked.
 */
export class SubjectPath {
  private readonly parent: SubjectPath | undefined;
  private readonly key: string | number | undefined;
  private readonly kind: string | undefined;
  private readonly name: string | undefined;

  private constructor(parent: SubjectPath | undefined, key: string | number | undefined, kind?: string, name?: string) {
    this.parent = parent;
    this.key = key;
    this.kind = kind;
    this.name = name;
  }

  /** The document itself. */
  static root(subject: string): SubjectPath {
    return new SubjectPath(undefined, undefined, subject);
  }

  /** A part of this place, of the same subject. */
  at(key: string | number): SubjectPath {
    return new SubjectPath(this, key);
  }

  /** A part of this place that is a subject of its own: `pod "web"`. */
  item(
    key: string | number,
    { kind, name }: { readonly kind: string; readonly name: string | undefined },
  ): SubjectPath {
    return new SubjectPath(this, key, kind, name ?? "");
  }

  /** This place as a subject of its own. */
  named({ kind, name }: { readonly kind: string; readonly name: string }): SubjectPath {
    return new SubjectPath(this.parent, this.key, kind, name);
  }

  /** Whose it is, as a fault says it. */
  get subject(): string {
    if (this.kind === undefined) return this.parent?.subject ?? "";
    if (this.name === undefined) return this.kind;
    return this.name === "" ? `a ${this.kind} without a name` : `${this.kind} ${quote(this.name)}`;
  }

  get path(): Path {
    if (this.key === undefined) return [];
    return [...(this.parent?.path ?? []), this.key];
  }
}
