import {
  EVENT_ID,
  type Event,
  getScalarValue,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
  YAMLException,
} from "js-yaml";
import { type Fault, formatPlace, type SourcePosition } from "../errors.ts";
import type { DocumentPath, Path, PathFault } from "./fault-report.ts";
import { type SourceText, shiftPosition } from "./source-document.ts";
import { positionFinder } from "./text-position.ts";

/**
 * Gives each fault its line and column. The text is read again for it, by the same parser that read the values but into
 * events with offsets: twice the time, once, and only where there is something to say.
 */
export function locateFaults(faults: readonly PathFault[]): readonly Fault[] {
  const indexes = new Map<SourceText, OffsetIndex>();
  for (const { place, first } of faults) {
    for (const { document, path } of first === undefined ? [place] : [place, first]) {
      const offsets = indexes.get(document.source) ?? new OffsetIndex(document.source.text);
      indexes.set(document.source, offsets);
      offsets.want(document.index, path);
    }
  }
  for (const offsets of indexes.values()) offsets.find();
  const locate = ({ document, path, atKey = false }: DocumentPath): SourcePosition => {
    const position = indexes.get(document.source)?.positionOf(document.index, path, atKey);
    return shiftPosition(document.source, { file: document.source.file, ...(position ?? { line: 1, column: 1 }) });
  };
  return faults.map(({ place, first, ...fault }) => {
    const firstAt = first === undefined ? undefined : locate(first);
    return {
      ...fault,
      path: place.path,
      at: locate(place),
      ...(firstAt === undefined ? {} : { hint: `The first is at ${formatPlace(firstAt)}` }),
    };
  });
}

/** A part of a document that some fault asks for. */
interface Wanted {
  readonly children: Map<string | number, Wanted>;
  /** Offset of the key, where it is a member of a mapping. */
  keyOffset?: number;
  valueOffset?: number;
}

class OffsetIndex {
  readonly #text: string;
  readonly #documents = new Map<number, Wanted>();
  readonly #positionAt: ReturnType<typeof positionFinder>;

  constructor(text: string) {
    this.#text = text;
    this.#positionAt = positionFinder(text);
  }

  want(document: number, path: Path): void {
    let wanted = getOrAdd(this.#documents, document);
    for (const step of path) wanted = getOrAdd(wanted.children, step);
  }

  find(): void {
    const events = eventsOf(this.#text);
    if (events === undefined) return;
    const walk = new EventWalk(this.#text, events);
    let index = 0;
    for (let at = 0; at < events.length; index++) {
      const wanted = this.#documents.get(index);
      if (wanted !== undefined) walk.enter(wanted, at + 1);
      at = walk.after(at);
    }
  }

  /** The place itself, or the nearest thing around it that the text has. */
  positionOf(document: number, path: Path, atKey: boolean) {
    let wanted = this.#documents.get(document);
    let offset = wanted?.valueOffset;
    for (const [depth, step] of path.entries()) {
      wanted = wanted?.children.get(step);
      const last = depth === path.length - 1;
      offset = (last && atKey ? wanted?.keyOffset : wanted?.valueOffset) ?? wanted?.keyOffset ?? offset;
    }
    return offset === undefined ? undefined : this.#positionAt(offset);
  }
}

function getOrAdd<Key>(map: Map<Key, Wanted>, key: Key): Wanted {
  const known = map.get(key);
  if (known !== undefined) return known;
  const added: Wanted = { children: new Map() };
  map.set(key, added);
  return added;
}

/** JSON that YAML's parser does not take (a key of more than 1,024 characters, say) goes without places: its faults stand at the start of the file. */
function eventsOf(text: string): readonly Event[] | undefined {
  try {
    return parseEvents(text, { maxDepth: 1000 });
  } catch (error) {
    if (error instanceof YAMLException) return undefined;
    throw error;
  }
}

/** Goes through the flat list of events, into the wanted nodes and past all others. */
class EventWalk {
  readonly #text: string;
  readonly #events: readonly Event[];
  #anchors: Map<string, number> | undefined;

  constructor(text: string, events: readonly Event[]) {
    this.#text = text;
    this.#events = events;
  }

  /** Index behind the node that starts at `start`. */
  after(start: number): number {
    let depth = 0;
    for (let at = start; at < this.#events.length; at++) {
      const type = this.#events[at]?.type;
      if (type === EVENT_ID.POP) depth--;
      else if (type === EVENT_ID.DOCUMENT || type === EVENT_ID.SEQUENCE || type === EVENT_ID.MAPPING) depth++;
      if (depth <= 0) return at + 1;
    }
    return this.#events.length;
  }

  /** Notes where the node at `at` and the wanted parts of it stand. */
  enter(wanted: Wanted, at: number): void {
    const event = this.#events[at];
    if (event === undefined) return;
    const offset = offsetOf(event);
    if (offset !== undefined) wanted.valueOffset ??= offset;
    if (wanted.children.size === 0) return;
    if (event.type === EVENT_ID.ALIAS) {
      const anchored = this.#anchor(this.#text.slice(event.anchorStart, event.anchorEnd), at);
      if (anchored !== undefined) this.enter(wanted, anchored);
    } else if (event.type === EVENT_ID.SEQUENCE) this.#enterSequence(wanted, at);
    else if (event.type === EVENT_ID.MAPPING) this.#enterMapping(wanted, at);
  }

  #enterSequence(wanted: Wanted, start: number): void {
    let index = 0;
    for (let at = start + 1; this.#events[at]?.type !== EVENT_ID.POP && at < this.#events.length; index++) {
      const child = wanted.children.get(index);
      if (child !== undefined) this.enter(child, at);
      at = this.after(at);
    }
  }

  #enterMapping(wanted: Wanted, start: number): void {
    const merged: number[] = [];
    for (let at = start + 1; this.#events[at]?.type !== EVENT_ID.POP && at < this.#events.length; ) {
      const event = this.#events[at];
      const value = this.after(at);
      if (event?.type === EVENT_ID.SCALAR) {
        const key = getScalarValue(this.#text, event);
        const child = wanted.children.get(key);
        if (child !== undefined) {
          const offset = scalarOffset(event);
          if (offset !== undefined) child.keyOffset ??= offset;
          this.enter(child, value);
        } else if (key === "<<") merged.push(value);
      }
      at = this.after(value);
    }
    // What a merge brings along comes after the mapping's own keys: those win.
    for (const at of merged) {
      if (this.#events[at]?.type === EVENT_ID.SEQUENCE) {
        for (let item = at + 1; this.#events[item]?.type !== EVENT_ID.POP; item = this.after(item))
          this.enter(wanted, item);
      } else this.enter(wanted, at);
    }
  }

  /** The node that the alias at `before` means: the last one of that name ahead of it. */
  #anchor(name: string, before: number): number | undefined {
    if (this.#anchors === undefined) {
      this.#anchors = new Map();
      for (const [at, event] of this.#events.entries()) {
        if (!("anchorStart" in event) || event.type === EVENT_ID.ALIAS || event.anchorStart < 0) continue;
        const anchor = this.#text.slice(event.anchorStart, event.anchorEnd);
        if (at < before || !this.#anchors.has(anchor)) this.#anchors.set(anchor, at);
      }
    }
    return this.#anchors.get(name);
  }
}

function offsetOf(event: Event): number | undefined {
  switch (event.type) {
    case EVENT_ID.SCALAR:
      return scalarOffset(event);
    case EVENT_ID.MAPPING:
    case EVENT_ID.SEQUENCE:
      return event.start;
    case EVENT_ID.ALIAS:
      return event.anchorStart;
    default:
      return undefined;
  }
}

/** Where a scalar starts in the text, its opening quote included; undefined for an empty one, which stands nowhere. */
export function scalarOffset({ style, valueStart }: ScalarEvent): number | undefined {
  if (valueStart < 0) return undefined;
  return style === SCALAR_STYLE.SINGLE_QUOTED || style === SCALAR_STYLE.DOUBLE_QUOTED ? valueStart - 1 : valueStart;
}
