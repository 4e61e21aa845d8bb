import { expect, test } from "vitest";
import { forwardedPriority } from "./forwarded-priority.ts";

test.for([
  [0x00, 0],
  [0x02, 0],
  [0x08, 2],
  [0x0a, 2],
  [0x10, 6],
  [0x14, 6],
  [0x18, 4],
  [0xb8, 4],
  [0x28, 2],
] as const)("a packet with type of service %i goes on with priority %i", ([tos, priority]) => {
  expect(forwardedPriority(tos)).toBe(priority);
});
