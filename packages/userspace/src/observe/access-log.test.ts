import { parseIpAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import type { AccessRecord } from "../contract.ts";
import { accessFields } from "./access-log.ts";

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

test("what did not happen has no field", () => {
  const { endpoint: _endpoint, dialMs: _dialMs, ...undialled } = recordOf({ attempts: 0, reason: "no-endpoint" });
  const fields = accessFields(undialled);
  expect(Object.keys(fields)).not.toContain("endpoint");
  expect(Object.keys(fields)).not.toContain("dialMs");
  expect(Object.keys(fields)).not.toContain("attempts");
});

function recordOf({
  client = "192.0.2.9",
  ...change
}: Partial<Omit<AccessRecord, "client">> & { client?: string }): AccessRecord {
  const address = parseIpAddress(client);
  if (address === undefined) throw new Error(`no address: ${client}`);
  return {
    protocol: "tcp",
    client: address,
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
