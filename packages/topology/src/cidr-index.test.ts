import fc from "fast-check";
import { expect, test } from "vitest";
import { addressFromBits, type Cidr, cidrContains, cidrOf, cidrsOverlap } from "./address.ts";
import { CidrIndex } from "./cidr-index.ts";

// Few bits, so that blocks meet.
const anyAddress = fc
  .tuple(fc.constantFrom(4 as const, 6 as const), fc.bigInt({ min: 0n, max: 255n }))
  .map(([family, bits]) => addressFromBits(family, bits));
const anyCidr = fc
  .tuple(anyAddress, fc.integer({ min: 0, max: 8 }))
  .map(([address, hostBits]): Cidr => cidrOf(address, (address.includes(":") ? 128 : 32) - hostBits));

test("finds the block of an address as a search through all would", () => {
  fc.assert(
    fc.property(fc.array(anyCidr, { maxLength: 12 }), anyAddress, (cidrs, address) => {
      const index = new CidrIndex(cidrs.map((cidr) => ({ cidr, owner: cidr })));
      const found = index.find(address);
      const isOverlapping = cidrs.some((a, i) => cidrs.some((b, j) => i < j && cidrsOverlap(a, b)));
      expect(index.overlaps.length > 0).toBe(isOverlapping);
      if (found !== undefined) expect(cidrContains(found.cidr, address)).toBe(true);
      if (!isOverlapping) expect(found?.cidr).toEqual(cidrs.find((cidr) => cidrContains(cidr, address)));
    }),
  );
});
