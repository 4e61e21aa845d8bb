import { parseSocketAddress } from "@svcproxy/topology";
import { expect, onTestFinished, test } from "vitest";
import { socketDataPlane } from "../plane/socket-streams.ts";
import { LocalLimiter } from "../policy/connection-limiter.ts";
import type { ListedEndpoint } from "../policy/frontend-spec.ts";
import { DEFAULT_PROXY_OPTIONS } from "../proxy-options.ts";
import { joinReading } from "./join-reading.ts";
import { Worker } from "./worker.ts";
import type { ReadingPart } from "./worker-reports.ts";

function startWorker(): Worker {
  const plane = socketDataPlane();
  if (plane === undefined) throw new Error("this Node has no sockets");
  const worker = new Worker({
    options: DEFAULT_PROXY_OPTIONS,
    plane,
    limiter: new LocalLimiter(DEFAULT_PROXY_OPTIONS, () => 0),
    reports: { dialFailed: () => {}, overLimit: () => {}, refused: () => {}, fault: () => {} },
  });
  onTestFinished(() => worker.close());
  return worker;
}

function endpointAt(port: number): ListedEndpoint {
  const socket = parseSocketAddress(`127.0.0.9:${port}`);
  if (socket === undefined) throw new RangeError(`no port: ${port}`);
  return { key: `tcp 127.0.0.9:${port}`, protocol: "tcp", services: ["default/web"], ...socket };
}

function sizeOf(part: ReadingPart): number {
  switch (part.kind) {
    case "facts":
      return 0;
    case "frontends":
      return part.frontends.length;
    case "endpoints":
      return part.endpoints.length;
  }
}

test("a worker tells of many endpoints in small parts, which are one reading", () => {
  const worker = startWorker();
  const endpoints = Array.from({ length: 1_001 }, (_, index) => endpointAt(10_000 + index));
  worker.apply({ endpoints });
  const parts = [...worker.readParts()];
  expect(Math.max(...parts.map(sizeOf))).toBeLessThanOrEqual(200);
  expect(joinReading(parts).endpoints.map(({ key }) => key)).toEqual(endpoints.map(({ key }) => key));
});

test("a plan may change between two parts", () => {
  const worker = startWorker();
  const endpoint = endpointAt(1);
  worker.apply({ endpoints: [endpoint] });
  const parts = worker.readParts();
  const first = parts.next();
  worker.apply({ goneEndpoints: [endpoint.key] });
  expect(first.done).toBe(false);
  expect([...parts].map(({ kind }) => kind)).toEqual(["endpoints"]);
});
