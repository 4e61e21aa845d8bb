import type { Problem } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { exampleFrontend, exampleStatus } from "../testing/example-status.ts";
import { renderUserspaceStatus } from "./render-userspace-status.ts";

const NOW = Date.parse("2026-01-01T02:05:00.000Z");

test("the tables hold what an operator asks for first", () => {
  expect(renderUserspaceStatus(exampleStatus(), NOW)).toBe(`\
svcproxy 1.2.3, pid 4711: ready, host cloudos1, up 2 h 5 min
topology cloudos.yaml, read 2 h 4 min ago
limits: 480 connections, 16384 UDP sessions, 1024 open files

FRONTEND               SERVICE           KIND       STATE      ACTIVE  TOTAL  FAILED  FROM CLIENTS  TO CLIENTS
tcp 10.100.100.1:7070  default/service1  clusterIP  listening  3       10     2       1000 B        2.0 KiB
udp 10.100.100.1:7070  default/service1  clusterIP  listening  3       10     2       1000 B        2.0 KiB

ENDPOINT            POD      STATE  ACTIVE  TOTAL  DIAL FAILURES   RETRIES  DIAL AVG
tcp 10.5.75.2:3000  os1_my1  up     0       7      2 ECONNREFUSED  0        1000.00 ms

WORKER  PID   CONNECTIONS  UDP SESSIONS  MEMORY    LOOP BUSY  LOOP DELAY P99  RESTARTS
0       4711  3            1             60.0 MiB  25 %       4.0 ms          2
`);
});

test("a port that is taken is shown with its holder", () => {
  const frontend = exampleFrontend("tcp", {
    kind: "failed",
    code: "EADDRINUSE",
    reason: "the port is taken",
    holder: { pid: 99, command: "nginx" },
  });
  const text = renderUserspaceStatus(exampleStatus({ ready: false, frontends: [frontend] }), NOW);
  expect(text).toContain("not ready");
  expect(text).toContain("failed: the port is taken, held by pid 99 (nginx)");
});

test("what left the plan and what cannot be served are told from failures", () => {
  const frontends = [
    exampleFrontend("tcp", { kind: "draining" }),
    exampleFrontend("sctp", { kind: "unsupported", reason: "Node has no SCTP sockets" }),
  ];
  const text = renderUserspaceStatus(exampleStatus({ frontends }), NOW);
  expect(text).toContain("  draining: left the plan  ");
  expect(text).toContain("  unsupported: Node has no SCTP sockets  ");
});

test("a faulty file and VIPs that are missing are said, with the command that would help", () => {
  const text = renderUserspaceStatus(
    exampleStatus({
      topology: {
        file: "cloudos.yaml",
        loadedAt: "2026-01-01T00:01:00.000Z",
        fault: { since: "2026-01-01T00:02:00.000Z", message: "unknown key\n  hint: \u001b[31m" },
      },
      vipsNotLocal: { "10.100.100.2": "changing addresses and routes needs CAP_NET_ADMIN" },
      vipCommand: "sudo ip address add 10.100.100.2/32 dev lo",
    }),
    NOW,
  );
  expect(text).toContain("the file has a fault, the old plan is served: unknown key\n    hint: \\u{1b}[31m\n");
  expect(text).toContain("10.100.100.2 (changing addresses and routes needs CAP_NET_ADMIN)\n");
  expect(text).toContain("this would help: sudo ip address add 10.100.100.2/32 dev lo\n");
});

test("problems are told as every command tells them", () => {
  const problem: Problem = {
    ...{ code: "ENDPOINT_LOOP", severity: "warning", subject: "service default/a" },
    text: "Endpoints of default/\u001b lead back to it, and are left out: 10.96.0.1:80",
    hint: "Name the pods",
  };
  expect(renderUserspaceStatus(exampleStatus({ problems: [problem] }), NOW)).toContain(
    "\nwarning: Endpoints of default/\\u{1b} lead back to it, and are left out: 10.96.0.1:80 [ENDPOINT_LOOP]\n  hint: Name the pods\n",
  );
});

test("a name from the topology cannot forge a line", () => {
  const frontend = { ...exampleFrontend("tcp"), service: "web\nFRONTEND \u001b[31m" };
  expect(renderUserspaceStatus(exampleStatus({ frontends: [frontend] }), NOW)).toContain("web\\nFRONTEND \\u{1b}[31m");
});
