import type { HostAgentStatus } from "../host/host-agent-status.ts";
import { NO_APPLIES } from "../host/metrics/apply-times.ts";

/** An agent that follows a file with one service. */
export function exampleHostAgentStatus(): HostAgentStatus {
  return {
    version: "1.0.0",
    pid: 42,
    startedAt: "2026-01-01T00:00:00.000Z",
    state: "following",
    dataPath: "nftables",
    passedOver: [],
    source: { name: "/etc/svcproxy/topology.yaml", readAt: "2026-01-01T00:01:00.000Z" },
    host: "web1",
    appliedAt: "2026-01-01T00:01:00.000Z",
    ports: [
      {
        service: "default/web",
        portName: "",
        protocol: "tcp",
        port: 80,
        family: 4,
        state: "in-force",
        since: new Date("2026-01-01T00:01:00.000Z"),
      },
    ],
    problems: [],
    kernel: { notice: "told", mended: 0 },
    guard: { least: 10, heldCount: 0 },
    applies: NO_APPLIES,
    planDigest: "0123456789abcdef",
  };
}
