import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes, faultsOf } from "../testing/topology-texts.ts";

describe("a file that is not a text of ours", () => {
  test.for([
    ["nothing", "", "EMPTY_FILE"],
    ["blanks", " \n\n", "EMPTY_FILE"],
    ["comments", "# hosts:\n", "EMPTY_FILE"],
    ["null", "null\n", "EMPTY_FILE"],
    ["documents with nothing in them", "---\n---\n", "EMPTY_FILE"],
  ] as const)("%s is an empty file", ([, text, code]) => {
    expect(faultsOf(text).map((fault) => fault.code)).toEqual([code]);
  });

  test("names the first byte that is not UTF-8", () => {
    const [fault] = faultsOf(Uint8Array.of(...bytes("hosts:\n  # caf"), 0xe9, 0x0a));
    expect([fault?.code, fault?.at?.line, fault?.at?.column]).toEqual(["NOT_UTF8", 2, 8]);
  });

  test("is refused above 64 MiB", () => {
    const [fault] = faultsOf(new Uint8Array(64 * 1024 * 1024 + 1).fill(0x20));
    expect(fault).toMatchObject({ code: "FILE_TOO_LARGE", message: "Cannot read it: a file may hold 64 MiB" });
    expect(fault?.hint).toMatch(/several files/);
  });

  test("refuses an alias bomb without setting it off", () => {
    const levels = Array.from({ length: 12 }, (_, level) => {
      const items =
        level === 0
          ? '["x"]'
          : `[${Array(10)
              .fill(`*a${level - 1}`)
              .join(", ")}]`;
      return `a${level}: &a${level} ${items}`;
    });
    expect(faultsOf(levels.join("\n")).map(({ code }) => code)).toEqual(["ALIAS_BOMB"]);
  });

  test("takes a merge in each of 10,000 pods, and refuses millions of merged keys", () => {
    const pods = (count: number) =>
      Array.from(
        { length: count },
        (_, n) => `      - { <<: *d, name: p${n}, address: "10.5.${n >> 8}.${n & 255}:80" }`,
      );
    const text = (count: number) => `
hosts:
  - name: h1
    address: 192.168.0.1
    podCIDR: 10.5.0.0/16
    pods:
      - &d { name: d, address: "10.5.255.1:80", ready: true, serving: true }
${pods(count).join("\n")}
`;
    expect(faultsOf(text(10_000))).toEqual([]);
    expect(faultsOf(text(250_000)).map(({ code, hint }) => [code, hint])).toEqual([
      ["ALIAS_BOMB", "Write the keys out, or use fewer merges"],
    ]);
  });

  test("refuses a long text in very many places", () => {
    const services = Array.from({ length: 200 }, () => "  - name: *n");
    const text = `hosts: []\nx: &n ${"a".repeat(100_000)}\nservices:\n${services.join("\n")}`;
    expect(faultsOf(text).map(({ code }) => code)).toEqual(["ALIAS_BOMB"]);
  });

  test("refuses an alias of what it stands in", () => {
    expect(faultsOf("hosts: &h [*h]").map(({ code }) => code)).toEqual(["ALIAS_BOMB"]);
  });

  test("refuses aliases nested deeper than any stack", () => {
    const chain = Array.from(
      { length: 20_000 },
      (_, level) => `- &a${level} [${level === 0 ? "x" : `*a${level - 1}`}]`,
    );
    expect(faultsOf(chain.join("\n")).map(({ code }) => code)).toEqual(["ALIAS_BOMB"]);
  });

  test.for([
    ["YAML", "[".repeat(100_000)],
    ["JSON", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
  ] as const)("survives %s nested 100,000 deep", ([, text]) => {
    expect(faultsOf(text).map(({ severity }) => severity)).toEqual(["error"]);
  });

  test("never throws anything but an InputError, whatever the bytes", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.string().map(bytes), fc.json().map(bytes)),
        (input) => {
          faultsOf(input);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("never throws anything but an InputError, whatever stands under a known key", () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.constantFrom("10.0.0.1", "10.0.0.0/8", "p1", "10.0.0.1:80"),
    );
    const keyed = (...keys: string[]) => fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 6 });
    const pod = keyed("name", "address", "addresses", "ready", "hints");
    const host = fc.record(
      { name: value, address: value, podCIDR: value, pods: fc.array(pod, { maxLength: 3 }) },
      { requiredKeys: [] },
    );
    const service = keyed("name", "clusterIP", "clusterIPs", "ports", "endpoints", "externalIPs", "sessionAffinity");
    const file = fc.record(
      { hosts: fc.array(host, { maxLength: 3 }), services: fc.array(service, { maxLength: 3 }), node: value },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(file, (content) => void faultsOf(JSON.stringify(content))),
      { numRuns: 500 },
    );
  });
});
