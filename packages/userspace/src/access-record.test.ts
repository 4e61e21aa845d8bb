import { expect, test } from "vitest";
import type { AccessRecord } from "./access-record.ts";
import { accessFields } from "./access-record.ts";

test("a connection that was served is one flat line of facts", () => {
  expect(accessFields(recordOf({}))).toEqual({
    client: "192.0.2.9:50000",
    frontend: "tcp 10.96.0.1:80",
    service: "default/web",
    endpoint: "tcp 10.5.0.2:8080",
    start: "2026-01-01T00:00:00.000Z",
    dialMs: 0.123,
    durationMs: 42.5,
    bytesFromClient: 10,
    bytesToClient: 20,
    reason: "done",
    termination: "--",
  });
});

test.for([
  { name: "an IPv6 client is bracketed", change: { client: "fd00::9" }, expected: { client: "[fd00::9]:50000" } },
  { name: "retries are told", change: { attempts: 3 }, expected: { attempts: 3 } },
  { name: "a port's name is told", change: { portName: "http" }, expected: { port: "http" } },
])("$name", ({ change, expected }) => {
  expect(accessFields(recordOf(change))).toMatchObject(expected);
});

test("a client that left before anybody could ask has no address", () => {
  expect(Object.keys(accessFields(recordOf({ client: "", clientPort: 0 })))).not.toContain("client");
});

test("what did not happen has no field", () => {
  const { endpoint: _endpoint, dialMs: _dialMs, ...undialled } = recordOf({ attempts: 0, reason: "no-endpoint" });
  const fields = accessFields(undialled);
  expect(Object.keys(fields)).not.toContain("endpoint");
  expect(Object.keys(fields)).not.toContain("dialMs");
  expect(Object.keys(fields)).not.toContain("attempts");
});

function recordOf(change: Partial<AccessRecord>): AccessRecord {
  return {
    protocol: "tcp",
    client: "192.0.2.9",
    clientPort: 50_000,
    frontend: "tcp 10.96.0.1:80",
    service: "default/web",
    portName: "",
    endpoint: "tcp 10.5.0.2:8080",
    attempts: 1,
    startedAtMs: Date.parse("2026-01-01T00:00:00Z"),
    dialMs: 0.123_456,
    durationMs: 42.5,
    bytesFromClient: 10,
    bytesToClient: 20,
    reason: "done",
    termination: "--",
    ...change,
  };
}
