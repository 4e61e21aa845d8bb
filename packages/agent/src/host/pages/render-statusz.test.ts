import process from "node:process";
import { expect, test } from "vitest";
import { exampleHostAgentStatus } from "../../testing/example-host-agent-status.ts";
import { renderStatusz } from "./render-statusz.ts";

test("is the text of Kubernetes' components, with what is ours behind it", () => {
  const now = new Date("2026-01-02T03:04:05.678Z");
  expect(
    renderStatusz(exampleHostAgentStatus(), { now, paths: ["/metrics", "/v1/status", "/v1/confirm", "/healthz"] }),
  ).toBe(`
svcproxy statusz
Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.

Started: Thu Jan  1 00:00:00 UTC 2026
Up: 27 hr 04 min 05 sec
Node version: ${process.version}
Binary version: 1.0.0
Paths: /healthz /metrics /v1

State: following
Data path: nftables
Source: /etc/svcproxy/topology.yaml
`);
});
