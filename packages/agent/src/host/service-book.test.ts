import type { ServicePortStatus } from "@svcproxy/host";
import { EnvironmentError, exampleTopology, planHost, problemOfError } from "@svcproxy/topology";
import { beforeEach, expect, test, vi } from "vitest";
import { exampleHostAgentStatus } from "../testing/example-host-agent-status.ts";
import { renderHostAgentStatus } from "./pages/render-host-agent-status.ts";
import { ServiceBook } from "./service-book.ts";

const plan = planHost(exampleTopology().topology, { host: "cloudos1" });
const START = new Date("2026-01-01T00:00:00.000Z");

beforeEach(() => {
  vi.useFakeTimers({ now: START });
  return () => vi.useRealTimers();
});

function statuses(problem?: ServicePortStatus["problem"]): readonly ServicePortStatus[] {
  return plan.ports.map(({ service, port, family }) => ({
    ...{ service: `${service.namespace}/${service.name}`, portName: port.name, protocol: port.protocol },
    ...{ port: port.port, family, state: problem === undefined ? "in-force" : "failed", since: START },
    ...(problem === undefined ? {} : { problem }),
  }));
}

test("a service is told with where it leads, and since when", () => {
  const book = new ServiceBook();
  book.carriedOut({ changed: undefined, isWhole: true, ports: statuses() });
  vi.advanceTimersByTime(60_000);
  book.carriedOut({ changed: new Set(["default/service1"]), isWhole: true, ports: statuses() });
  const ports = statuses();
  expect(book.tell("service1", { plan, ports })).toMatchObject([
    {
      ...{ service: "default/service1", state: "in-force", since: START.toISOString() },
      asItIsSince: "2026-01-01T00:01:00.000Z",
      frontends: [
        { kind: "clusterIP", address: "10.100.100.1:7070" },
        { kind: "nodePort", address: "*:34211" },
      ],
      endpoints: [
        { address: "10.5.75.2:3000", pod: "os1_my1", host: "cloudos1", isHere: true, ready: true },
        { address: "10.5.88.2:3000", pod: "os2_my1", host: "cloudos2", isHere: false, ready: true },
      ],
    },
  ]);
  expect(book.tell("default/service2", { plan, ports })).toMatchObject([{ asItIsSince: START.toISOString() }]);
  expect(book.tell("service", { plan, ports })).toEqual([]);
});

test("what was wrong last is remembered when it is over", () => {
  const book = new ServiceBook();
  const problem = problemOfError(new EnvironmentError("NFT_REFUSED", "nft said no"), {
    subject: "service default/service1",
  });
  book.carriedOut({ changed: undefined, isWhole: false, ports: statuses(problem) });
  vi.advanceTimersByTime(60_000);
  book.carriedOut({ changed: new Set(), isWhole: true, ports: statuses() });
  const details = book.tell("service1", { plan, ports: statuses() });
  expect(details).toMatchObject([{ state: "in-force", lastProblem: { at: START.toISOString(), text: problem.text } }]);
  const status = { ...exampleHostAgentStatus(), ports: statuses() };
  const text = renderHostAgentStatus(status, { now: Date.now(), service: "service1", details });
  expect(text).toContain(`
  default/service1 tcp 7070 IPv4: in-force for 60 s
      dialled    10.100.100.1:7070 (clusterIP), *:34211 (nodePort)
      endpoints  10.5.75.2:3000 (os1_my1, on this host)
                 10.5.88.2:3000 (os2_my1, on cloudos2)
      unchanged  for 60 s
      last problem 60 s ago: ${problem.text}
`);
});
