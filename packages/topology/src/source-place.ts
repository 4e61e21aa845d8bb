/** Where the text that a fault or a problem is about was read: a place in a file, or an object of a cluster or a store. */
export type SourcePlace = SourcePosition | SourceObject;

/** A place in a file; both numbers are 1-based. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface SourceObject {
  /** As people call it, for instance `Service default/web` or `etcd /svcproxy/services/default/web`. */
  readonly object: string;
  readonly file?: undefined;
  readonly line?: undefined;
  readonly column?: undefined;
}

/** `web.yaml:14:11`, or the object. */
export function formatPlace(place: SourcePlace): string {
  return "object" in place ? place.object : `${place.file}:${place.line}:${place.column}`;
}
