/** Steps from the place that a hash gives; a text that finds no room in so many goes into a Map. */
const MAX_STEPS = 32;

/**
 * Values by text, in the order in which the texts came. For texts that are looked up once or twice, such as the names of
 * 100,000 pods: V8 makes a text one of its kind before a Map looks for it, which takes several times as long as this does.
 * However badly the texts are chosen, they cost no more than in a Map.
 */
export class TextMap<Value> {
  readonly #keys: string[] = [];
  readonly #values: Value[] = [];
  /** One more than the index of a key, at the place that its hash gives or a few steps on; 0 where there is none. */
  #slots = new Int32Array(16);
  /** Indexes of the keys that found no room. */
  readonly #others = new Map<string, number>();

  get size(): number {
    return this.#keys.length;
  }

  get(key: string): Value | undefined {
    const index = this.#indexOf(key);
    return index < 0 ? undefined : this.#values[index];
  }

  has(key: string): boolean {
    return this.#indexOf(key) >= 0;
  }

  /** The value that the key has already; else the key gets this one. */
  getOrInsert(key: string, value: Value): Value {
    const place = this.#placeOf(key);
    const index = this.#indexAt(place, key);
    const known = index < 0 ? undefined : this.#values[index];
    if (known !== undefined) return known;
    this.#insert(place, key, value);
    return value;
  }

  set(key: string, value: Value): void {
    const place = this.#placeOf(key);
    const index = this.#indexAt(place, key);
    if (index < 0) this.#insert(place, key, value);
    else this.#values[index] = value;
  }

  keys(): readonly string[] {
    return this.#keys;
  }

  values(): readonly Value[] {
    return this.#values;
  }

  /** -1 where there is no such key. */
  #indexOf(key: string): number {
    return this.#indexAt(this.#placeOf(key), key);
  }

  #indexAt(place: number, key: string): number {
    return place < 0 ? (this.#others.get(key) ?? -1) : (this.#slots[place] ?? 0) - 1;
  }

  /** The slot that holds a key or, where there is none, should; -1 where all that it could be in hold others. */
  #placeOf(key: string): number {
    const mask = this.#slots.length - 1;
    const hash = hashOf(key);
    for (let step = 0; step < MAX_STEPS; step++) {
      const place = (hash + step) & mask;
      const index = (this.#slots[place] ?? 0) - 1;
      if (index < 0 || this.#keys[index] === key) return place;
    }
    return -1;
  }

  #insert(place: number, key: string, value: Value): void {
    const index = this.#keys.length;
    this.#keys.push(key);
    this.#values.push(value);
    if (this.#keys.length * 2 > this.#slots.length) this.#grow();
    else this.#put(place, key, index);
  }

  #put(place: number, key: string, index: number): void {
    if (place < 0) this.#others.set(key, index);
    else this.#slots[place] = index + 1;
  }

  #grow(): void {
    this.#slots = new Int32Array(this.#slots.length * 4);
    this.#others.clear();
    this.#keys.forEach((key, index) => {
      this.#put(this.#placeOf(key), key, index);
    });
  }
}

/** 32 bits, signed: FNV-1a over UTF-16, the high half mixed into the low one, which is what small tables look at. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash ^ (hash >>> 15);
}
