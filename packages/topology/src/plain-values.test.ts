import fc from "fast-check";
import { CORE_SCHEMA, dump, loadAll, mergeTag, parseEvents } from "js-yaml";
import { expect, test } from "vitest";
import { plainValues } from "./plain-values.ts";

const schema = CORE_SCHEMA.withTags(mergeTag);

function plain(text: string) {
  return plainValues(text, { events: parseEvents(text, {}), schema });
}

test("whatever js-yaml writes is read as js-yaml reads it", () => {
  const value = fc.letrec((tie) => ({
    node: fc.oneof(
      { depthSize: "small" },
      fc.oneof(fc.string({ unit: "grapheme" }), fc.integer(), fc.double(), fc.boolean(), fc.constant(null)),
      fc.array(tie("node"), { maxLength: 4 }),
      fc.dictionary(fc.string({ maxLength: 6 }), tie("node"), { maxKeys: 4 }),
    ),
  })).node;
  const layout = fc.record({ flowLevel: fc.integer({ min: -1, max: 3 }), forceQuotes: fc.boolean() });
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 3 }), layout, (documents, options) => {
      // A value that stands in two places is not written as an alias.
      const text = documents.map((each) => dump(each, { ...options, noRefs: true })).join("---\n");
      const read = plain(text);
      // Keys such as "1" and "__proto__" are left to js-yaml.
      if (read !== undefined) expect(read).toEqual(loadAll(text, { schema }));
    }),
  );
});

test.for([
  "hosts: [a, 1, 0x1f, 1.5, true, null, ~, '', \"1\", 'true', 1e999, 2026-01-01]",
  "a:\nb: |\n  two\n  lines\nc: >-\n  folded\n  text\nd: { e: [{}, []] }",
  "- a\n- - b\n  - c\n-\n- d: e\n  f:\n  - g",
  "one\n---\n...\n---\n# nothing\n---\n- two",
  "? key\n: value",
  "\"quoted \\\"key\\\"\": 'it''s'",
  '{"json": {"as": ["it", 1, null]}}',
])("plain values are the same: %j", (text) => {
  const read = plain(text);
  expect(read).toBeDefined();
  expect(read).toEqual(loadAll(text, { schema }));
});

test.for([
  "a: &anchor 1\nb: *anchor",
  "a: !!str 1",
  "a: !<tag:yaml.org,2002:str> b",
  "- &list [a]",
  "- !!map { a: b }",
  "a: { <<: { b: c } }",
  "- .inf",
  "- -.INF",
  "- .nan",
  "1: one",
  "true: yes",
  ": nothing",
  "? [a, list]\n: value",
  "__proto__: { polluted: true }",
  "a: 1\nb: 2\na: 3",
  "- { a: 1, b: { c: 1, c: 2 } }",
])("what takes more than that is left to js-yaml: %j", (text) => {
  expect(plain(text)).toBeUndefined();
});
