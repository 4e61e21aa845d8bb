import fc from "fast-check";
import { expect, test } from "vitest";
import { hashOf, TextMap } from "./text-map.ts";

/** Sets each key in turn, here and in a Map, and compares all that can be asked. */
function compareWithMap(keys: readonly string[], strangers: readonly string[] = []): void {
  const map = new TextMap<number>();
  const model = new Map<string, number>();
  for (const [value, key] of keys.entries()) {
    if (value % 2 === 0) {
      map.set(key, value);
      model.set(key, value);
    } else {
      const known = model.get(key) ?? value;
      expect(map.getOrInsert(key, value)).toBe(known);
      model.set(key, known);
    }
    expect(map.size).toBe(model.size);
  }
  for (const key of [...keys, ...strangers]) {
    expect(map.get(key)).toBe(model.get(key));
    expect(map.has(key)).toBe(model.has(key));
  }
  expect(map.keys()).toEqual([...model.keys()]);
  expect(map.values()).toEqual([...model.values()]);
}

test("answers like a Map", () => {
  const key = fc.oneof(fc.string({ unit: "binary", maxLength: 3 }), fc.stringMatching(/^p\d{1,2}$/));
  fc.assert(fc.property(fc.array(key, { maxLength: 200 }), fc.array(key), compareWithMap));
});

test("texts that all belong in the same place are kept apart, also while the table grows", () => {
  const LOW_BITS = 0xfff;
  const alike: string[] = [];
  for (let number = 0; alike.length < 300; number++) {
    if ((hashOf(`pod-${number}`) & LOW_BITS) === 7) alike.push(`pod-${number}`);
  }
  const strangers = alike.splice(250);
  compareWithMap([...alike, ...alike.slice(100)], strangers);
});

test("a value may be undefined, and its key is there all the same", () => {
  const map = new TextMap<undefined>();
  map.set("", undefined);
  expect([map.has(""), map.has(" "), map.size]).toEqual([true, false, 1]);
});
