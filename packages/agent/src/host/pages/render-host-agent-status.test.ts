import { expect, test } from "vitest";
import { exampleHostAgentStatus } from "../../testing/example-host-agent-status.ts";
import { renderHostAgentStatus } from "./render-host-agent-status.ts";

const NOW = Date.parse("2026-01-01T00:02:00.000Z");
const PROBLEM = {
  code: "DUPLICATE_FRONTEND",
  severity: "error",
  subject: "service default/web",
  text: "It is taken",
} as const;
const FORGED = 'web"\nfollowing: all is well';

test("a name with a line break forges no line", () => {
  const status = exampleHostAgentStatus();
  const [port] = status.ports;
  if (port === undefined) throw new TypeError("the example has no port");
  const forged = { ...port, service: `default/${FORGED}`, state: "failed" as const };
  const text = renderHostAgentStatus(
    {
      ...status,
      state: "degraded",
      host: FORGED,
      source: {
        name: `/etc/${FORGED}`,
        refused: [
          { entry: `service default/${FORGED}`, isKept: true, since: "2026-01-01T00:01:00.000Z", problems: [PROBLEM] },
        ],
      },
      ports: [forged],
    },
    {
      now: NOW,
      service: FORGED,
      details: [
        {
          ...forged,
          ...{ since: "2026-01-01T00:01:00.000Z", asItIsSince: "2026-01-01T00:01:00.000Z" },
          frontends: [{ kind: "clusterIP", address: "10.100.0.1:80" }],
          endpoints: [{ address: "10.5.75.2:3000", pod: FORGED, host: FORGED, isHere: false, ready: true }],
        },
      ],
    },
  );
  expect(text.split("\n").filter((line) => line.startsWith("following"))).toEqual([]);
  expect(text.split(String.raw`web"\nfollowing`)).toHaveLength(7);
});

test("userspace proxies that were taken over are told with what they still carry", () => {
  const generations = [
    {
      ...{ pid: 41, takenOverAt: "2026-01-01T00:01:30.000Z", connections: 3, udpSessions: 1 },
      ...{ isDraining: true, inUse: [] },
    },
  ];
  expect(renderHostAgentStatus({ ...exampleHostAgentStatus(), generations }, { now: NOW })).toContain(
    "older      pid 41, taken over 30 s ago: 3 connections, 1 UDP sessions, draining\n",
  );
});

test("of hundreds of problems some are listed, and the rest counted", () => {
  const problems = Array.from({ length: 400 }, (_, index) => ({
    ...({
      code: "SEVERAL_DOCUMENTS",
      severity: "error",
      subject: `${index}.yaml`,
      text: `${index} is another`,
    } as const),
  }));
  const text = renderHostAgentStatus({ ...exampleHostAgentStatus(), problems }, { now: NOW });
  expect(text.match(/is another/g)).toHaveLength(50);
  expect(text).toMatch(/\nand 350 more problems: --json has them all\n$/);
});

test("while a userspace proxy waits for its connections, how many are left stands in place of its services", () => {
  const draining = { connections: 3, udpSessions: 1, endsAt: "2026-01-01T00:02:25.000Z" };
  const text = renderHostAgentStatus({ ...exampleHostAgentStatus(), state: "stopping", draining }, { now: NOW });
  expect(text).toMatch(/^stopping: /);
  expect(text).toContain(
    "services   no new connections; 3 connections and 1 UDP sessions are left, for 25 s at most\n",
  );
});

test("a change that is held back at the start is not in force, and what served before serves on", () => {
  const { applies, ...status } = exampleHostAgentStatus();
  const { lastAt: _, ...none } = applies;
  const share = { gone: 11, of: 20 };
  const held = { since: "2026-01-01T00:01:00.000Z", lost: { vips: share, answering: share, endpoints: share } };
  const text = renderHostAgentStatus({ ...status, ports: [], applies: none, held }, { now: NOW });
  expect(text).toMatch(/^source .*, held back as read /m);
  expect(text).toContain("services   as before the start, 20 VIPs\n");
});
