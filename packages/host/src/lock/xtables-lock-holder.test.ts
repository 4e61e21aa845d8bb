import { expect, test } from "vitest";
import { holderOf } from "./xtables-lock-holder.ts";

test("who holds a lock is told from who waits for it, and from locks of other files", () => {
  const locks = `1: POSIX  ADVISORY  WRITE 10 00:1a:5678 0 EOF
2: FLOCK  ADVISORY  WRITE 11 00:1a:9999 0 EOF
3: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF
3: -> FLOCK  ADVISORY  WRITE 12 00:1a:5678 0 EOF
`;
  expect(holderOf(locks, 5678)).toBe(1234);
  expect(holderOf(locks, 1)).toBeUndefined();
  expect(holderOf("3: FLOCK  ADVISORY  WRITE 0 00:1a:5678 0 EOF\n", 5678)).toBeUndefined();
});
