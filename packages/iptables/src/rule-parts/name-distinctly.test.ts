import fc from "fast-check";
import { expect, test } from "vitest";
import { nameDistinctly } from "./name-distinctly.ts";

const byIdentity = (identities: readonly string[]) => ({ identityOf: (index: number) => identities[index] ?? "" });

test("a name that only one wants is granted", () => {
  expect(nameDistinctly(["web", "dns"], byIdentity(["a", "b"]))).toEqual(["web", "dns"]);
});

test("what several want goes to nobody, unless one of them comes first", () => {
  const names = nameDistinctly(["web", "web", "dns"], byIdentity(["a", "b", "c"]));
  expect(names).toEqual([expect.stringMatching(/^web-\w{8}$/), expect.stringMatching(/^web-\w{8}$/), "dns"]);
  expect(names[0]).not.toBe(names[1]);
  expect(nameDistinctly(["web", "web"], { ...byIdentity(["a", "b"]), isFirst: (index) => index === 1 })[1]).toBe("web");
});

test("an empty or long wish gets a hash behind what is readable", () => {
  expect(nameDistinctly(["", "x".repeat(20)], byIdentity(["a", "b"]))).toEqual([
    expect.stringMatching(/^\w{8}$/),
    expect.stringMatching(/^xxxxxxxxxx-\w{8}$/),
  ]);
});

test("all names differ, fit a chain name, and stay the same where others come and go", () => {
  const wishes = fc.array(fc.oneof(fc.constantFrom("", "web", "web-abcdefgh"), fc.string({ maxLength: 25 })), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(wishes, fc.nat(), (all, place) => {
      const identities = all.map((wish, index) => `${index} ${wish}`);
      const names = nameDistinctly(all, byIdentity(identities));
      expect(new Set(names).size).toBe(names.length);
      for (const name of names) expect(name.length).toBeLessThanOrEqual(19);
      const gone = place % Math.max(all.length, 1);
      const rest = nameDistinctly(all.toSpliced(gone, 1), byIdentity(identities.toSpliced(gone, 1)));
      const kept = names.toSpliced(gone, 1);
      for (const [index, name] of rest.entries()) {
        if (all.toSpliced(gone, 1)[index] !== all[gone]) expect(name).toBe(kept[index]);
      }
    }),
  );
});
