import { dump } from "js-yaml";
import { expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { loadDocuments } from "./load-documents.ts";
import { MAX_MARKS, refuseValueFlood } from "./refuse-value-flood.ts";

const LIMIT = 1000;
const file = "flood.yaml";

/** How many values a text makes, keys among them. */
function countValues(text: string): number {
  const sizeOf = (value: unknown): number => {
    if (Array.isArray(value)) return value.reduce((total: number, item) => total + sizeOf(item), 1);
    if (typeof value !== "object" || value === null) return 1;
    return Object.values(value).reduce((total: number, member) => total + 1 + sizeOf(member), 1);
  };
  const { documents } = loadDocuments({ file, text });
  return documents.reduce((total, { value }) => total + sizeOf(value), 0);
}

test.for([
  { name: "items", unit: "- 1\n" },
  { name: "items of nothing", unit: "-\n" },
  { name: "items that open on one line", unit: "- " },
  { name: "flow lists", unit: "[],", head: "[", tail: "[]]" },
  { name: "flow mappings", unit: "{},", head: "[", tail: "{}]" },
  { name: "flow items", unit: "1,", head: "[", tail: "1]" },
  { name: "flow keys without values", unit: "? ,", head: "[", tail: "1]" },
  { name: "documents", unit: "--- 1\n" },
  { name: "bare documents", unit: "1\n...\n" },
  { name: "keys", unit: (index: number) => `k${index}: 1\n` },
  { name: "keys without values", unit: (index: number) => `k${index}:\n` },
  { name: "keys after question marks", unit: (index: number) => `? k${index}\n` },
  { name: "keys of minified JSON", unit: (index: number) => `"k${index}":1,`, head: "{", tail: '"k":1}' },
  { name: "lists in lists", unit: "[", tail: "" },
])("more $name than the limit are refused before they are parsed", ({ unit, head = "", tail = "" }) => {
  const repeat = (count: number) =>
    head + Array.from({ length: count }, (_, index) => (typeof unit === "string" ? unit : unit(index))).join("") + tail;
  const refuse = () => refuseValueFlood({ file, text: repeat(LIMIT + 1) }, { limit: LIMIT });
  expect(refuse).toThrow(InputError);
  expect(refuse).toThrow(/more than 1000 lists, items and keys/);
  expect(() => refuseValueFlood({ file, text: repeat(LIMIT / 4) }, { limit: LIMIT })).not.toThrow();
});

test.for([
  "hosts:\n  - name: a\n    address: 10.0.0.1\n    pods: [{ name: p, address: '10.1.0.1:80' }, q]\n",
  '{"hosts":[{"name":"a","pods":[{"name":"p"},{"name":"q"}]}],"services":[]}',
  "a: &x { b: 1, c, d }\ne: [f: 1, g: 2, h]\n",
  "? a\n? b\n: c\n---\n- - - 1\n  -\n...\n# comment\n'it': \"says\"\n",
])("a text has at most three values a mark, whatever its style: %j", (text) => {
  const values = countValues(text);
  const isRefused = (limit: number) => {
    try {
      refuseValueFlood({ file, text }, { limit });
      return false;
    } catch {
      return true;
    }
  };
  expect(isRefused(Math.ceil(values / 3) - 2)).toBe(true);
});

test("a document weighs as much as four items", () => {
  for (const unit of ["--- 1\n", "1\n...\n"]) {
    const refuse = (count: number) => () => refuseValueFlood({ file, text: unit.repeat(count) }, { limit: LIMIT });
    expect(refuse(LIMIT / 4)).not.toThrow();
    expect(refuse(LIMIT / 4 + 1)).toThrow(InputError);
  }
});

test.for(["block YAML", "flow YAML", "JSON", "indented JSON"] as const)(
  "a hundredth of the biggest honest topology, as %s, takes less than a hundredth of the limit",
  (style) => {
    const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
    const pods = numbers(10_000).map((n) => ({ name: `pod-${n}`, address: `10.1.${n >> 8}.${n & 255}:8080` }));
    const services = numbers(100).map((n) => ({
      ...{ name: `service-${n}`, clusterIP: `10.2.0.${n}`, ports: [{ port: 80 }] },
      endpoints: numbers(100).map((index) => `pod-${n * 100 + index}`),
    }));
    const topology = { hosts: [{ name: "h", address: "192.168.0.1", pods }], services };
    const text = {
      "block YAML": () => dump(topology),
      "flow YAML": () => dump(topology, { flowLevel: 2 }),
      JSON: () => JSON.stringify(topology),
      "indented JSON": () => JSON.stringify(topology, null, 2),
    }[style]();
    expect(text.length).toBeGreaterThan(MAX_MARKS / 100);
    expect(() => refuseValueFlood({ file, text }, { limit: MAX_MARKS / 100 })).not.toThrow();
  },
);

test("long texts, names full of hyphens and IPv6 addresses are not a flood", () => {
  const text = `${"# a comment: of some length\n".repeat(10)}hosts:\n${"  - fd00:10:244::12-web-1-2-3.example.net\n".repeat(20)}`;
  expect(() => refuseValueFlood({ file, text }, { limit: 40 })).not.toThrow();
});

test("a file of many millions of items is refused as a whole", () => {
  const text = `hosts:\n${"-\n".repeat(MAX_MARKS)}`;
  expect(() => loadDocuments({ file, text })).toThrow(/more than 8000000 lists, items and keys/);
});
