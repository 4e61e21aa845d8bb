import { parseIpAddress, parsePort } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { Health } from "./health.ts";
import { parseCheck } from "./parse-check.ts";

const address = parseIpAddress("10.0.0.1") ?? expect.fail();
const port = parsePort(80) ?? expect.fail();

test.for([
  { text: "tcp", check: { kind: "tcp", address, port } },
  { text: "tcp:81", check: { kind: "tcp", address, port: 81 } },
  { text: "http:/a?b=c", check: { kind: "http", address, port, path: "/a?b=c" } },
  { text: "http:81/", check: { kind: "http", address, port: 81, path: "/" } },
  { text: "exec:test -e '/a b'", check: { kind: "exec", command: "test -e '/a b'" } },
])("$text", ({ text, check }) => {
  expect(parseCheck(text, { address, port })).toEqual(check);
});

test.for(["", "http", "http:", "http:a", "https:/", "exec:", "exec: ", "tcp:0", "tcp:70000", "udp"])(
  "%j is none",
  (text) => {
    expect(() => parseCheck(text, { address, port })).toThrow(expect.objectContaining({ code: "BAD_CHECK" }));
  },
);

test("without a port there is nothing to dial", () => {
  expect(() => parseCheck("tcp", { address })).toThrow(/needs a port/);
  expect(parseCheck("http:81/", { address })).toMatchObject({ port: 81 });
});

test("it is well after `rise` in a row, and unwell after `fall`", () => {
  const health = new Health({ rise: 2, fall: 3 });
  const changes = [true, false, true, true, false, false, true, false, false, false, true, true].map((passed) =>
    health.take(passed) ? (health.isWell ? "well" : "unwell") : "",
  );
  expect(changes).toEqual(["", "", "", "well", "", "", "", "", "", "unwell", "", "well"]);
});
