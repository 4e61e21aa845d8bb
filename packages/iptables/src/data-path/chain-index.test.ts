import type { Chain } from "@svcproxy/rules";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ChainIndex } from "./chain-index.ts";

/** By name the chains that it jumps to. */
type Picture = Readonly<Record<string, readonly string[]>>;

const pictures = fc.dictionary(
  fc.constantFrom(..."abcdefgh"),
  fc.array(fc.constantFrom(..."abcdefgh"), { maxLength: 3 }),
  {
    maxKeys: 8,
  },
);

test("it goes from any chains to any others, and says what tells them apart and who jumps to which", () => {
  fc.assert(
    fc.property(fc.array(pictures, { minLength: 2, maxLength: 6 }), (walk) => {
      const [first = {}, ...others] = walk;
      const index = new ChainIndex(chainsOf(first));
      let before: Picture = first;
      for (const after of others) {
        const { added, changed, gone } = index.become(chainsOf(after), meansTheSame);
        expect(namesOf(added)).toEqual(Object.keys(after).filter((name) => before[name] === undefined));
        expect(new Set(gone)).toEqual(new Set(Object.keys(before).filter((name) => after[name] === undefined)));
        expect(namesOf(changed)).toEqual(
          Object.keys(after).filter((name) => before[name] !== undefined && `${before[name]}` !== `${after[name]}`),
        );
        for (const name of "abcdefgh") {
          const holders = Object.keys(after).filter((holder) => after[holder]?.includes(name));
          expect(namesOf([...index.above(name)]).toSorted()).toEqual(holders.sort());
        }
        before = after;
      }
    }),
  );
});

test("a chain that many jump to is known by all of them, and by those that are left", () => {
  const many = Array.from({ length: 100 }, (_, number) => chainOf(`c${number}`, ["mark"]));
  const mark = chainOf("mark", []);
  const index = new ChainIndex([mark, ...many]);
  expect([...index.above("mark")]).toEqual(many);
  index.become([mark, ...many.slice(0, 2)], meansTheSame);
  expect([...index.above("mark")]).toEqual(many.slice(0, 2));
});

test("chains of one name are a bug of whoever made them", () => {
  const [a, again] = [chainOf("a", []), chainOf("a", ["b"])];
  expect(() => new ChainIndex([a, again])).toThrow("chain a is made twice");
  expect(() => new ChainIndex([a]).become([a, again], meansTheSame)).toThrow("chain a is made twice");
});

function chainsOf(picture: Picture): readonly Chain[] {
  return Object.entries(picture).map(([name, targets]) => chainOf(name, targets));
}

function chainOf(name: string, targets: readonly string[]): Chain {
  return { name, rules: targets.map((chain) => ({ matches: [], target: { kind: "jump", chain } as const })) };
}

function meansTheSame(before: Chain, after: Chain): boolean {
  return JSON.stringify(before) === JSON.stringify(after);
}

function namesOf(chains: readonly Chain[]): readonly string[] {
  return chains.map(({ name }) => name);
}
