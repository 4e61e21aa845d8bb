import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { expect, onTestFinished, test, vi } from "vitest";
import { connectServiceManager } from "./service-manager.ts";

test("without systemd nothing is run", async () => {
  const systemd = fakeSystemd({ NOTIFY_SOCKET: undefined });
  await systemd.manager.ready("serving");
  await systemd.manager.stopping();
  expect(systemd.told()).toEqual([]);
});

test("systemd is told that the proxy serves, what it does, and that it ends", async () => {
  const systemd = fakeSystemd({});
  await systemd.manager.ready("4 frontends");
  await systemd.manager.status("5 frontends\nREADY=0");
  await systemd.manager.stopping();
  expect(systemd.told()).toEqual([
    `MAINPID=${process.pid} READY=1 STATUS=4 frontends`,
    "STATUS=5 frontends\\nREADY=0",
    "STOPPING=1",
  ]);
});

test("the watchdog is fed after READY", async () => {
  const systemd = fakeSystemd({ WATCHDOG_USEC: "60000", WATCHDOG_PID: String(process.pid) });
  await systemd.manager.ready("serving");
  await vi.waitFor(() => expect(systemd.told().filter((line) => line === "WATCHDOG=1").length).toBeGreaterThan(1));
  expect(systemd.told()[0]).toBe(`MAINPID=${process.pid} READY=1 STATUS=serving`);
});

test.for([
  { name: "another process's watchdog", environment: { WATCHDOG_USEC: "3000", WATCHDOG_PID: "1" } },
  { name: "a unit without a watchdog", environment: {} },
])("$name is not kept alive", async ({ environment }) => {
  const systemd = fakeSystemd(environment);
  await systemd.manager.ready("serving");
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(systemd.told()).toEqual([`MAINPID=${process.pid} READY=1 STATUS=serving`]);
});

test("a missing systemd-notify is reported and stops nothing", async () => {
  const systemd = fakeSystemd({ PATH: "/nonexistent" });
  await systemd.manager.ready("serving");
  expect(systemd.problems).toEqual([expect.stringContaining("Cannot run systemd-notify: it is not on this machine")]);
});

/** A `systemd-notify` on PATH that writes down what it is told. */
function fakeSystemd(environment: NodeJS.ProcessEnv) {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-systemd-"));
  const log = join(folder, "told");
  writeFileSync(join(folder, "systemd-notify"), `#!/bin/sh\nprintf '%s\\n' "$*" >> ${log}\n`);
  chmodSync(join(folder, "systemd-notify"), 0o755);
  const problems: string[] = [];
  const manager = connectServiceManager({
    environment: { NOTIFY_SOCKET: "/run/systemd/notify", PATH: folder, ...environment },
    onProblem: (message) => problems.push(message),
  });
  onTestFinished(() => {
    manager.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    manager,
    problems,
    told: () => (existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : []),
  };
}
