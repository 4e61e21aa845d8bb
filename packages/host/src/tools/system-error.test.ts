import { expect, test } from "vitest";
import { systemReason } from "./system-error.ts";

test.for([
  { name: "a call of fs", error: Object.assign(new Error("x"), { code: "EACCES", errno: -13 }), reason: "EACCES" },
  // Node's own text for it is "Unknown system error 12".
  {
    name: "a call of os",
    error: Object.assign(new Error("x"), { code: "ERR_SYSTEM_ERROR", info: { errno: 12 } }),
    reason: "ENOMEM",
  },
  { name: "no error of the system", error: new TypeError("not so"), reason: "not so" },
  { name: "no error at all", error: 7, reason: "7" },
])("what the system says of $name", ({ error, reason }) => {
  expect(systemReason(error)).toBe(reason);
});
