import { expect, test } from "vitest";
import { isLocalFault, SystemCallError } from "./system-error.ts";

test("an error says what was done, why it failed, and its code", () => {
  const error = new SystemCallError("bind 10.96.0.1 port 80", -98);
  expect([error.code, error.message]).toEqual(["EADDRINUSE", "bind 10.96.0.1 port 80: address already in use"]);
});

test.for([
  ["EMFILE", true],
  ["ENFILE", true],
  ["EADDRNOTAVAIL", true],
  ["ENOBUFS", true],
  ["ECONNREFUSED", false],
  ["ETIMEDOUT", false],
  ["EHOSTUNREACH", false],
  ["EPERM", false],
] as const)("%s is this host's own fault: %s", ([code, local]) => {
  expect(isLocalFault(code)).toBe(local);
});
