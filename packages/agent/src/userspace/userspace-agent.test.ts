import { expect, test } from "vitest";
import { exampleFrontend, exampleStatus } from "../testing/example-status.ts";
import { unreadiness } from "./userspace-agent.ts";
import { isReady } from "./userspace-status.ts";

test("a proxy is ready while every frontend listens", () => {
  expect(unreadiness(exampleStatus())).toEqual([]);
});

test("the frontend that does not listen is named", () => {
  const failed = exampleFrontend("tcp", { kind: "failed", code: "EADDRINUSE", reason: "the port is taken" });
  const status = exampleStatus({ ready: false, frontends: [failed, exampleFrontend("udp")] });
  expect(unreadiness(status)).toEqual(["not every frontend listens", "tcp 10.100.100.1:7070: the port is taken"]);
});

test("what no userspace proxy can serve is not waited for", () => {
  const frontends = [
    exampleFrontend("tcp"),
    exampleFrontend("sctp", { kind: "unsupported", reason: "no such sockets" }),
  ];
  expect(unreadiness(exampleStatus({ ready: isReady({ state: "running", frontends }), frontends }))).toEqual([]);
});

test("it is not ready before the first plan, nor while it drains", () => {
  expect(unreadiness(exampleStatus({ ready: false, frontends: [] }))).toEqual(["starting"]);
  expect(unreadiness(exampleStatus({ ready: false, state: "draining" }))).toEqual(["draining"]);
});
