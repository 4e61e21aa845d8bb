import { EVENT_ID, type Event, getScalarValue, SCALAR_STYLE, type ScalarEvent, type Schema } from "js-yaml";

/**
 * The values of a YAML text that says no more than JSON can: half of the time that js-yaml's own constructor takes for a
 * large cluster, because it need not be ready for tags, anchors, aliases, merges, `.inf` and keys that are no text.
 *
 * @param events of the whole text
 * @returns one for each document, as js-yaml has it (undefined for an empty one); undefined where the text has any of the
 *   above, or a key twice
 */
export function plainValues(
  text: string,
  { events, schema }: { readonly events: readonly Event[]; readonly schema: Schema },
): readonly unknown[] | undefined {
  return new PlainConstructor(text, events, schema).documents();
}

class PlainConstructor {
  readonly #text: string;
  readonly #events: readonly Event[];
  readonly #schema: Schema;
  /** Index of the next event. */
  #at = 0;
  #isPlain = true;

  constructor(text: string, events: readonly Event[], schema: Schema) {
    this.#text = text;
    this.#events = events;
    this.#schema = schema;
  }

  documents(): readonly unknown[] | undefined {
    const documents: unknown[] = [];
    while (this.#isPlain && this.#at < this.#events.length) {
      this.#at++;
      let value: unknown;
      while (!this.#closes()) value = this.#node();
      documents.push(value);
    }
    return this.#isPlain ? documents : undefined;
  }

  /** Whether the list, mapping or document in hand ends here; goes past its end. What is not plain ends at once. */
  #closes(): boolean {
    if (this.#isPlain && this.#events[this.#at]?.type !== EVENT_ID.POP) return false;
    this.#at++;
    return true;
  }

  #node(): unknown {
    const event = this.#events[this.#at++];
    switch (event?.type) {
      case EVENT_ID.SCALAR:
        return this.#scalar(event);
      case EVENT_ID.SEQUENCE:
        this.#expectBare(event);
        return this.#list();
      case EVENT_ID.MAPPING:
        this.#expectBare(event);
        return this.#mapping();
      default:
        this.#isPlain = false;
        return undefined;
    }
  }

  #list(): unknown[] {
    const list: unknown[] = [];
    while (!this.#closes()) list.push(this.#node());
    return list;
  }

  #mapping(): Record<string, unknown> {
    const mapping: Record<string, unknown> = {};
    while (!this.#closes()) {
      const key = this.#node();
      if (typeof key === "string" && key !== "<<" && key !== "__proto__" && !Object.hasOwn(mapping, key)) {
        mapping[key] = this.#node();
      } else this.#isPlain = false;
    }
    return mapping;
  }

  #scalar(event: ScalarEvent): unknown {
    this.#expectBare(event);
    const text = getScalarValue(this.#text, event);
    if (event.style !== SCALAR_STYLE.PLAIN) return text;
    const { value } = this.#schema.resolveImplicitScalarTag(text);
    if (typeof value === "number" && !Number.isFinite(value)) this.#isPlain = false;
    return value;
  }

  #expectBare({ anchorStart, tagStart }: { readonly anchorStart: number; readonly tagStart: number }): void {
    if (anchorStart >= 0 || tagStart >= 0) this.#isPlain = false;
  }
}
